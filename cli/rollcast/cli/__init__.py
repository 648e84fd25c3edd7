"""The command line: each command is one module, light to import; heavy parts are imported when a command runs."""
