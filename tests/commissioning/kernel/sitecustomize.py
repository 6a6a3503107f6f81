"""In the kernel of a notebook under test: a workplace on the plant's physics in the place of a facility."""

import os

if os.environ.get("PTCS_PLANT_WORKPLACE"):
    from plant_workplace import PlantWorkplace

    import ptcs.commissioning.workplace as workplace

    workplace.Workplace = PlantWorkplace  # type: ignore[misc, assignment]
