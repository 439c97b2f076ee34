"""What `--help` shows: tasks, choices and keys, in words. Nothing that takes time is imported."""

from collections.abc import Iterable
from pathlib import Path

from assets import catalog
from generators.labels.conventions import Label

FLAGS = ("--help", "-h")

_PAGE = """\
Kinetwin turns a robot's joint telemetry into a calibrated twin and labelled images.

  python run.py [task=TASK] [recording=NAME|FILE.yaml] [key=value ...]

Tasks
  pipeline              replay, calibrate and generate, with one report (the default)
  replay                play a recording back on the twin, and compare
  calibrate             find the twin's parameters; leaves calibration.usda
  generate              render labelled images
  excite                design a motion to record for a calibration
  import                bring a URDF in as a robot: urdf=FILE name=NAME
  inspect               what a stage or a recording holds: stage=FILE or recording.path=FILE
  validate              the renderer against a ray caster, on your scene
  doctor                what this machine offers, and what would make runs faster

Choices
{choices}
Keys
  method                how parameters are found: auto, torch, lm, cmaes, servo, kinematics
  force                 true: write a calibration that is no better than what it replaces
  resume                directory of a method=cmaes run that was cut off
  layer                 calibration.usda to lay over the robot
  stage, asset_root     a USD stage to inspect, and the folder that it may read
  urdf, name            a URDF to import, and what the robot shall be called;
    package_roots         the folders where its package:// paths lead;
    fixed_base            false: nothing holds it
  seed                  same seed, same bytes
  workers               processes that share the work
  device                what draws: auto, cpu, cuda
  recordings_dir        where the recordings of conf/recording lie
  calibration.          train_fraction, folds, cutoff_hz, trim_s, loss (huber, squares), shared,
                        inertias, payload, geometry, cmaes_generations, cmaes_candidates,
                        cmaes_engine (twin, bullet), contacts, contact_friction, contact_mass
  excitation.           period_s, harmonics, rate_hz, acceleration, margin_m, evaluations
  images.               count, width, height, labels ([{labels[0]},
                        {labels[1]}])
  camera.               fx, fy, cx, cy, distortion, aperture_m, focus_m, shutter_s, samples
  sensor.               rgb, depth, full_well_e, read_noise_e, blur_px, vignetting, white_balance,
                        jpeg_quality
  randomization.        object_count, object_radius_m, object_azimuth_deg, object_clearance_m,
                        robot_lightness, texture_share, camera_azimuth_deg, camera_elevation_deg,
                        camera_zoom, camera_fill, camera_roll_deg, light_azimuth_deg,
                        light_elevation_deg, light_temperature_k, light_sun, light_sky,
                        light_penumbra_m, light_dome_share, light_lamp_share
  recording.            path, train, test, streams ...: docs/recordings.md
  hydra.run.dir         where the run goes, outputs/TASK/TIME where nothing is said

  -m seed=1,2,3         a run for each value
  --cfg job             every key and its value, without a run

docs/calibration.md, docs/rendering.md, docs/recordings.md and docs/stages.md say what each does.
"""


def asked_for(arguments: Iterable[str]) -> bool:
    """Whether a command line asks for this page."""
    return any(argument in FLAGS for argument in arguments)


def page() -> str:
    """Return the page, with the choices that there are now."""
    conf = Path(__file__).parent
    choices = {
        group: [f.stem for f in sorted((conf / group).glob("*.yaml"))]
        for group in ("recording", "experiment", "randomization", "sensor")
    }
    choices |= {"robot": catalog.robot_names(), "scene": list(catalog.SCENES)}
    lines = [f"  {name:<21} {', '.join(of)}\n" for name, of in choices.items()]
    names = [label.name for label in Label]
    labels = [",".join(of) for of in (names[:5], names[5:])]
    return _PAGE.format(choices="".join(lines), labels=labels)
