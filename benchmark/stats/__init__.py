"""From predictions to numbers with intervals. numpy, scipy and pandas alone."""
