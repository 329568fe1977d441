"""What a run is: its model and states, its gates, and the wake-up that says one is ready."""
