"""What every HTTP service is made of: factory, middleware, problems, health, authentication."""
