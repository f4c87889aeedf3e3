"""What is declared, kept in Postgres, and what became of it on the gateways."""
