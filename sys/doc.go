// Package sys is the thin rim over x/sys/unix: the new mount API, paths resolved inside a root by handles, capabilities,
// and descriptors over sockets. It decides nothing; each function is one kernel operation with its errno kept (errors.Is
// works on all of them).
package sys
