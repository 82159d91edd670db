// Package verbs are the flags of the verbs about images: rl reads them from the command line and rl-image from its request.
// It holds no code, so that both may link it.
package verbs

// Platform is whose image is meant.
type Platform struct {
	Platform string `group:"Image" placeholder:"OS/ARCH[/VARIANT]" help:"Image of another platform."`
	Arch     string `group:"Image" placeholder:"ARCH" help:"The same, of another architecture."`
	OS       string `name:"os" group:"Image" placeholder:"OS" help:"The same, of another operating system."`
	Variant  string `group:"Image" placeholder:"VARIANT" help:"The same, of another variant of the architecture."`
}

// Registry is how one is spoken to.
type Registry struct {
	TLSVerify *bool  `name:"tls-verify" negatable:"" group:"Image" help:"Check the registry's certificate; --tls-verify=false allows plain http, too."`
	Authfile  string `group:"Image" placeholder:"FILE" help:"Credentials, if not in auth.json."`
}

// Pull is `rl pull`.
type Pull struct {
	Quiet    bool `short:"q" help:"Print nothing but the image's id."`
	AllTags  bool `short:"a" help:"All images of the repository, whatever their tags."`
	Platform `embed:""`
	Registry `embed:""`
	Images   []string `arg:"" name:"image" help:"Name[:tag][@digest]; a short one is looked up as registries.conf says."`
}

// Images is `rl images`.
type Images struct {
	All       bool     `short:"a" help:"Also those without a name (they are always shown)."`
	Quiet     bool     `short:"q" help:"Ids only."`
	NoTrunc   bool     `help:"Whole ids."`
	Digests   bool     `help:"Also the digests of the manifests."`
	NoHeading bool     `short:"n" name:"noheading" help:"No line of titles."`
	Filter    []string `short:"f" sep:"none" placeholder:"KEY=VALUE" help:"reference=PATTERN, id=, digest=, before=IMAGE, since=IMAGE, until=TIME, label=KEY[=VALUE], label!=, dangling=true|false, intermediate=, containers=, readonly=."`
	Sort      string   `placeholder:"created|id|repository|size|tag" help:"What they are sorted by; without it the newest first."`
	Format    string   `placeholder:"json|TEMPLATE" help:"json, or a Go template over .ID .Repository .Tag .Digest .Created .Size."`
	Reference string   `arg:"" optional:"" name:"reference" help:"Only images of this name; * stands for any characters."`
}

// Rmi is `rl rmi`.
type Rmi struct {
	Force  bool     `short:"f" help:"Remove an image with all its names; one that isn't there is no error."`
	All    bool     `short:"a" help:"All images."`
	Ignore bool     `short:"i" help:"One that isn't there is no error."`
	Keep   bool     `name:"no-prune" help:"Leave images without a name that it stands on. They always stay: rl image prune removes them."`
	Images []string `arg:"" optional:"" name:"image" help:"Name, id, or the unique beginning of an id."`
}

// Load is `rl load`.
type Load struct {
	Input string `short:"i" placeholder:"FILE" help:"docker-archive, oci-archive or OCI directory; stdin without it."`
	Quiet bool   `short:"q" help:"No progress."`
}

// Import is `rl import`.
type Import struct {
	Change  []string `short:"c" sep:"none" placeholder:"INSTRUCTION" help:"CMD, ENTRYPOINT, ENV, USER, WORKDIR, LABEL, STOPSIGNAL, EXPOSE or VOLUME, as in a Dockerfile."`
	Message string   `short:"m" placeholder:"TEXT" help:"Comment of the image's history."`
	Quiet   bool     `short:"q" help:"No progress."`
	File    string   `arg:"" help:"tar archive of a root file system, also compressed; - for stdin."`
	Name    string   `arg:"" optional:"" name:"image" help:"Name[:tag] of the image."`
}
