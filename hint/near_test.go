package hint

import "testing"

func TestNear(t *testing.T) {
	names := []string{"run", "create", "restart", "start", "rm", "rmi", "web", "web2", "alpine", "--name", "--network", "container"}
	for word, want := range map[string]string{
		"rnu": "run", "ru": "run", "rund": "run", "crete": "create", "strat": "start", "wbe": "web", "wb": "web", "alpien": "alpine",
		"alpin": "alpine", "alpinee": "alpine", "--nmae": "--name", "--netwrok": "--network", "cont": "container", "restrat": "restart",
		"": "", "r": "", "xyz": "", "database": "", "alpnnnn": "", "web": "web2",
	} {
		if got := Near(word, names); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"abcd", "badc", 2}, {"a", "bcdefgh", 5}} {
		if got := distance(c.a, c.b, 5); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
