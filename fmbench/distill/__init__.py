"""Where folders saved by earlier versions look for the module of a recurrent student: see `fmbench.sentence_module`."""
