"""Tries remedies by training, and keeps what seeds prove. Modules that train load TensorFlow on import."""
