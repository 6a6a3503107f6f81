"""Treatment planning: patient model, beam data, dose, optimisation, evaluation; its service in `service`."""
