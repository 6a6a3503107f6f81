"""Units in use, and the few conversions that more than one room needs.

Lengths mm, angles deg, energies MeV (per nucleon for ions), doses Gy, metersets MU,
currents A, pressures of gas hPa (air) and mbar (vacuum), temperatures degC.
"""

REFERENCE_TEMPERATURE_C = 20.0
REFERENCE_PRESSURE_HPA = 1013.25
ZERO_CELSIUS_K = 273.15


def air_density_correction(temperature_c: float, pressure_hpa: float) -> float:
    """k_TP of a vented ionisation chamber: reading x k_TP is the reading at 20 degC and 1013.25 hPa.

    IAEA TRS-398, equation for k_TP with T0 = 20 degC and P0 = 101.325 kPa.

    Raises ValueError outside 10..40 degC or 800..1100 hPa, where a reading is a sensor fault.
    """
    if not 10.0 <= temperature_c <= 40.0 or not 800.0 <= pressure_hpa <= 1100.0:
        raise ValueError(
            f"air at {temperature_c:.1f} degC and {pressure_hpa:.1f} hPa: allowed are 10..40 degC "
            "and 800..1100 hPa; check the temperature and pressure station"
        )
    warmth = (temperature_c + ZERO_CELSIUS_K) / (REFERENCE_TEMPERATURE_C + ZERO_CELSIUS_K)
    return warmth * REFERENCE_PRESSURE_HPA / pressure_hpa
