// Command vault is the transit engine of Vault, as Vault releases it, behind as
// much of Vault's HTTP API as a root key needs. The engine, its storage, and how
// its errors become answers are Vault's own code; tokens are not: there is the one
// given by a flag, which may do everything, and those made with it, which may
// encrypt and decrypt with keys that there are. Nothing is ever sealed.
// docs/design/0009-kms-servers.md says why it is not the whole of Vault.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/file"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8200", "Address to listen on.")
	folder := flag.String("data", "", "Folder of keys and tokens, in the clear; made where it is missing.")
	root := flag.String("root-token", "", "Token that may do everything.")
	flag.Parse()
	if err := serve(*listen, *folder, *root); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

func serve(address, folder, root string) error {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Info})
	disk, err := file.NewFileBackend(map[string]string{"path": folder}, log)
	if err != nil {
		return err
	}
	storage := logical.NewLogicalStorage(disk)
	keys := logical.NewStorageView(storage, "transit/")
	engine, err := transit.Factory(context.Background(), &logical.BackendConfig{
		StorageView: keys, Logger: log, System: &logical.StaticSystemView{}, BackendUUID: "transit",
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := &server{engine: engine, keys: keys, tokens: tokens{root: root, storage: logical.NewStorageView(storage, "tokens/")}}
	return (&http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}).Serve(listener)
}
