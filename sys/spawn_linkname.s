// The bodies of the functions that spawn.go takes from package runtime: an assembly file, if an empty one, makes the compiler accept them.
