"""One check a file: it returns a `Match`, or None when it found nothing; see `tfday7.diagnosis.check`."""
