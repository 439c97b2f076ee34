"""Is a renderer right? Its frames against those of a ray caster that shares no code with it."""
