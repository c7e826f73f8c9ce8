"""Where and when trials run: a supervised child process each, in a local pool or under Ray Tune."""
