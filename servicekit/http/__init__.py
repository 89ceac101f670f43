"""HTTP for every service: the server, bounds on connections, errors and their answers, health pages, TLS."""
