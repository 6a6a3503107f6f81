"""The patient model: CT, stopping power, structures, dose grid."""
