package container

// Version is rl's own, set by the linker; rl-image must have the same.
var Version = "dev"
