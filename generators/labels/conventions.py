"""What each label means: the one place that says it; labels, writers and the docs follow.

**Pixels.** Coordinates are (u, v) = (column, row), and (0, 0) is the *centre* of the top-left
pixel, so that pixel i reaches from i − 0.5 to i + 0.5. Only a box counts edges, as COCO's does:
(x, y, width, height) of a single pixel (3, 5) is (3, 5, 1, 1). Points are those after the lens's
distortion: where the picture shows them. A label is what the ray through a pixel's centre meets;
it is never blended.

**Frames.** World W: metres, z up. Camera C: x right, y down, z forward. Body B: as the stage has
it. `X_CB` is the pose of B seen from C, a 4×4 matrix; all frames are right-handed.

**Ids.** Instance ids count from 1, one for a robot as a whole, for each object, and for each class
of the surroundings; 0 is where nothing is seen. Part ids count bodies from 0, and −1 is nothing in
memory; files hold the id + 1. Semantic ids count classes from 1, those that are annotated first, so
that they are COCO's category ids; 0 is nothing.

**Depth** is z in C, **distance** is the length of the way from the camera's centre, both in m; inf
where nothing is seen (0 in files).

**Normals** are those of the triangle that is seen, of length 1, on the side that is seen, in C or
in W; zero where nothing is seen.

**Object coordinates** are where on its body a pixel's point lies: (x, y, z) in B of the part that
is seen, m; NaN where nothing is seen.

**Flow** goes from the picture's own pixels: *forward* to where the same point of the same body is
seen at the next time, *backward* to where it was before: (Δu, Δv), pixels. NaN where nothing is
seen, and where the point is then nearer than the near plane or its body is gone. *Occluded* is
where the point is then outside of the picture or behind something.

**Masks and boxes.** Modal: the pixels at which the instance is seen. Amodal: those at which it
would be seen were it alone. Visible fraction: modal over amodal pixels, both within the picture, so
that it is exactly 1 where nothing stands in front. Truncation: which share of the silhouette the
picture cuts off. It is measured as area of the plane z = 1 of C, so that a lens does not change it,
on a canvas of three times the picture's width and height; what lies beyond that, or nearer than the
near plane, does not count.

**3D boxes** are along the axes of the body; of several bodies, along those of the first (a robot's
base) and around all of them at their present posture. Corner k lies at the high end of x where bit
0 of k is set, of y with bit 1, of z with bit 2. A corner that is nearer than the near plane has no
pixel; an edge is cut there.

**Key points** are joint origins. Each is `OUTSIDE` of the picture; or `HIDDEN` behind something; or
`VISIBLE`: at its pixel one of the two links is seen that the joint connects.
"""

from enum import Enum

OUTSIDE, HIDDEN, VISIBLE = 0, 1, 2
"""Of a key point; COCO's v."""

CANVAS = 3
"""Width and height of the canvas on which truncation is measured, in pictures."""


class Label(Enum):
    """A label with a value per pixel, which a data set can hold a file of for each picture."""

    depth = "depth"
    distance = "distance"
    normal = "normal"
    instance = "instance"
    part = "part"
    semantic = "semantic"
    object_coordinates = "object_coordinates"
    flow = "flow"
