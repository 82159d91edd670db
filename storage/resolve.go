package storage

// Resolve asks rl-image for the record of one image, and for the image itself when it is missing.
type Resolve struct {
	Image    string
	Platform string
	Pull     string // always, newer, missing or never
	Quiet    bool
	// Authfile and TLSVerify are of a pull, if not as everywhere.
	Authfile  string
	TLSVerify *bool
}
