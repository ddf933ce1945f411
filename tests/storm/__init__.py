"""A storm on real processes: clients at work while parts are killed, then quiet, then the count."""
