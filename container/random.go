package container

import (
	"math/rand/v2"
	"strings"
)

// randomName is for who types none: an adjective and a noun, as docker and podman do.
func randomName() string {
	pick := func(words string) string {
		all := strings.Fields(words)
		return all[rand.IntN(len(all))]
	}
	return pick(adjectives) + "_" + pick(nouns)
}

const (
	adjectives = "able agile amber ample azure balmy bold brave breezy bright brisk calm candid cheery civil clear clever cosy crisp curious daring deft dewy eager early earnest easy fair fancy fluent fond frank fresh gentle glad golden grand green happy hardy hazel honest ideal jolly keen kind lively lofty loyal lucid lucky mellow merry mild misty modest neat nimble noble olive patient placid plucky polite prime proud quick quiet rapid ready robust rosy ruby sandy serene sharp silent silver smooth snug solid sound spry stable steady stout sunny swift tidy tranquil trusty upbeat urban vivid warm wise witty young zesty"
	nouns      = "acorn alder anchor antler apple arrow aspen badger bamboo basin beacon beaver birch bison bramble brook canyon cedar cherry cliff clover comet coral cove crane creek cypress delta dolphin dune eagle ember falcon fern finch fjord forest fox garnet glacier grove harbor hawk heron hill holly ibis island ivy jasper juniper kestrel lagoon lake larch lark laurel lemon lily linden lotus lynx maple marten meadow moss oak ocean orchid osprey otter owl panda pebble pine plover plum pond poplar quail quartz raven reef ridge river robin rowan sable sage salmon shell sparrow spruce stork summit swan thistle tiger trout tulip valley walnut willow wren yarrow zebra"
)
