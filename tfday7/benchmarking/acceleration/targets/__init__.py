"""One target a file; see `acceleration.judgement`."""
