// Command aws-kms is github.com/nsmithuk/local-kms, which speaks the AWS KMS API,
// on one address: its own command listens on all of them. Keys are made through
// the API and outlive a restart. Nothing is authorised, whoever asks.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/nsmithuk/local-kms/src"
	"github.com/nsmithuk/local-kms/src/config"
	"github.com/nsmithuk/local-kms/src/data"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "Address to listen on.")
	folder := flag.String("data", "", "Folder of the keys; made where it is missing.")
	flag.StringVar(&config.AWSRegion, "region", "eu-central-1", "Region in the keys' ARNs.")
	flag.StringVar(&config.AWSAccountId, "account", "111122223333", "Account in the keys' ARNs.")
	flag.Parse()
	if err := serve(*listen, *folder); err != nil {
		fmt.Fprintln(os.Stderr, "aws-kms:", err)
		os.Exit(1)
	}
}

func serve(address, folder string) error {
	keys := data.NewDatabase(folder)
	defer keys.Close()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { src.HandleRequest(w, r, keys) })
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}).Serve(listener)
}
