package hint

// Exit is an error with the exit code that main ends with. A nil Err prints nothing: the program of a container ended with
// Code by itself. The codes of rl are docker's: 125 rl failed, 126 the program can't be executed, 127 it was not found.
type Exit struct {
	Code int
	Err  error
}

func (e *Exit) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *Exit) Unwrap() error { return e.Err }
