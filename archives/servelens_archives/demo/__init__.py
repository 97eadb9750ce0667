"""The demo's story: two models that tell shapes apart, one of which cheats by a coloured mark."""
