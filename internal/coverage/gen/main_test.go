package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestList(t *testing.T) {
	const proto = `
message RunPodSandboxRequest {
    // Not this = 9.
    Config config = 1;
}
message Config {
    repeated string words = 1; // trailing
    map<string, string> labels = 2;
    Kind kind = 3 [deprecated = true];
    message Inner {
        int64 n = 1;
    }
    Inner inner = 4;
    Config again = 5;
    enum Kind {
        // Comment.
        FIRST = 0;
        SECOND = 1;
    }
}
message Elsewhere { 
    string unused = 1;
}
`
	const want = `# k8s.io/cri-api v1, runtime.v1: what is below RunPodSandboxRequest, CreateContainerRequest, UpdateContainerResourcesRequest.
# Written by internal/coverage/gen.
Config.again
Config.inner
Config.kind
Config.labels
Config.words
Inner.n
Kind.FIRST
Kind.SECOND
RunPodSandboxRequest.config
`
	if diff := cmp.Diff(want, list(proto, "v1")); diff != "" {
		t.Errorf("list mismatch (-want +got):\n%s", diff)
	}
}
