package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// profile takes CPU profiles of the operator and of the API server while
// something goes on, where asked for; what it returns waits for them. A profile
// that fails says so and stops nothing.
func (b *bed) profile(ctx context.Context, name string, during time.Duration) (wait func()) {
	if b.pprof == "" {
		return func() {}
	}
	var all sync.WaitGroup
	for process, cfg := range map[string]*rest.Config{"operator": {Host: "http://" + b.pprof}, "kube-apiserver": b.Admin()} {
		path := filepath.Join(b.settings.profiles, fmt.Sprintf("%s-%d-%s.pprof", name, time.Now().Unix(), process))
		all.Go(func() {
			if err := takeProfile(ctx, cfg, during, path); err != nil {
				say("no profile of the %s: %v", process, err)
			}
		})
	}
	return all.Wait
}

func takeProfile(ctx context.Context, cfg *rest.Config, during time.Duration, path string) error {
	api, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	request := api.CoreV1().RESTClient().Verb(http.MethodGet).AbsPath("/debug/pprof/profile").Param("seconds", strconv.Itoa(int(during.Seconds())))
	content, err := request.DoRaw(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}
