package image

import (
	"strings"

	"github.com/rl-containers/rl/hint"
)

// near is the hint that names an image of the store whose name looks like one that isn't there.
func (s *Store) near(name string) []string {
	images, err := s.store.Images()
	if err != nil {
		return nil
	}
	names := []string{"tiny"}
	for _, img := range images {
		names = append(names, img.Names...)
	}
	return nearImage(name, names)
}

// nearImage compares as people type: without docker.io and this machine's own prefix, and without a tag where none was typed.
func nearImage(name string, names []string) []string {
	_, tagged := cutTag(name)
	meant := map[string]string{}
	var forms []string
	for _, full := range names {
		form := full
		if !strings.HasPrefix(name, "docker.io/") && !strings.HasPrefix(name, "localhost/") {
			form = shortName(full)
		}
		show := strings.TrimSuffix(form, ":latest")
		if repository, _ := cutTag(form); !tagged {
			form = repository
		}
		if form == name && show != name {
			return []string{"did you mean " + show + "?"} // only its tag is another
		}
		if _, double := meant[form]; !double {
			meant[form] = show
			forms = append(forms, form)
		}
	}
	if form := hint.Near(name, forms); form != "" {
		return []string{"did you mean " + meant[form] + "?"}
	}
	return nil
}

func shortName(full string) string {
	for _, prefix := range []string{"docker.io/library/", "docker.io/", "localhost/"} {
		full = strings.TrimPrefix(full, prefix)
	}
	return full
}

// cutTag takes NAME:TAG apart; a colon before a slash belongs to a registry's port.
func cutTag(name string) (repository string, tagged bool) {
	i := strings.LastIndexByte(name, ':')
	if i <= strings.LastIndexByte(name, '/') {
		return name, false
	}
	return name[:i], true
}
