package lab

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// DumpEtcd reads every key and value as they lie in etcd at one revision, past the API server. Built-in kinds
// are protobuf, in which strings and bytes stand verbatim (a Secret's data too, not in
// base64); custom resources are JSON.
func (l *Lab) DumpEtcd(ctx context.Context) (map[string][]byte, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{l.env.ControlPlane.Etcd.URL.String()}, DialTimeout: startTimeout, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd: %w", err)
	}
	defer func() { _ = client.Close() }()

	const page = 500 // keys in one answer
	dump, from, revision := map[string][]byte{}, "\x00", int64(0)
	for {
		answer, err := client.Get(ctx, from, clientv3.WithFromKey(), clientv3.WithLimit(page), clientv3.WithRev(revision))
		if err != nil {
			return nil, fmt.Errorf("reading etcd: %w", err)
		}
		if revision == 0 { // the first page: later ones read the same moment
			revision = answer.Header.Revision
		}
		for _, kv := range answer.Kvs {
			dump[string(kv.Key)] = kv.Value
			from = string(kv.Key) + "\x00" // the least key after it
		}
		if !answer.More {
			return dump, nil
		}
	}
}
