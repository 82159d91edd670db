package image

import (
	"encoding/json"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestChange reads instructions as a Dockerfile has them.
func TestChange(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`ENV A=1 B="two words" C=x\ y`, `{"Env":["A=1","B=two words","C=x y"]}`},
		{`ENV A old form = all`, `{"Env":["A=old form = all"]}`},
		{`ENV A=1 B`, "error"},
		{`ENV A="`, "error"},
		{`ENV A`, "error"},
		{`LABEL "a b"='c "d"' e=f`, `{"Labels":{"a b":"c \"d\"","e":"f"}}`},
		{`EXPOSE 80 53/udp`, `{"ExposedPorts":{"53/udp":{},"80/tcp":{}}}`},
		{`VOLUME ["/a b", "/c"]`, `{"Volumes":{"/a b":{},"/c":{}}}`},
		{`VOLUME /a /b`, `{"Volumes":{"/a":{},"/b":{}}}`},
		{`CMD echo $HOME`, `{"Cmd":["/bin/sh","-c","echo $HOME"]}`},
		{`CMD ["a", "b"]`, `{"Cmd":["a","b"]}`},
		{`CMD=["a"]`, `{"Cmd":["a"]}`},
		{`entrypoint ["e"]`, `{"Entrypoint":["e"]}`},
		{`USER 5:6`, `{"User":"5:6"}`},
		{`HEALTHCHECK --interval=1m --retries=2 CMD test -e /x || exit 1`, `{"Test":["CMD-SHELL","test -e /x || exit 1"],"Interval":60000000000,"Retries":2}`},
		{`HEALTHCHECK CMD ["test", "-e", "/a b"]`, `{"Test":["CMD","test","-e","/a b"]}`},
		{`HEALTHCHECK NONE`, `{"Test":["NONE"]}`},
		{`HEALTHCHECK test -e /x`, "error"},
		{`HEALTHCHECK --often CMD true`, "error"},
		{`HEALTHCHECK --retries=0 CMD true`, "error"},
		{`HEALTHCHECK --interval=5 CMD true`, "error"},
		{`ONBUILD RUN x`, "error"},
		{`CMD`, "error"},
	} {
		var config v1.ImageConfig
		all := instructed{ImageConfig: &config}
		err := all.apply([]string{c.line})
		got, _ := json.Marshal(config)
		if all.health != nil {
			got, _ = json.Marshal(all.health)
		}
		if err != nil {
			got = []byte("error")
		}
		if string(got) != c.want {
			t.Errorf("%s: %s (%v), want %s", c.line, got, err, c.want)
		}
	}
}
