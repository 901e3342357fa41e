"""What goes to a device as it is: nothing of it is imported here, and it imports nothing of tfday7."""
