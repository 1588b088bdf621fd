package kms

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	cloudkms "cloud.google.com/go/kms/apiv1"
	"cloud.google.com/go/kms/apiv1/kmspb"
	"gocloud.dev/secrets/gcpkms"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const googleKey = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/k"

// google is Cloud KMS.
type google struct {
	kmspb.UnimplementedKeyManagementServiceServer
	t       *testing.T
	refusal error
}

func (g *google) Encrypt(_ context.Context, req *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	if req.GetName() != googleKey {
		g.t.Errorf("encrypts with key %q", req.GetName())
	}
	return &kmspb.EncryptResponse{Ciphertext: append([]byte(sealedPrefix), req.GetPlaintext()...)}, g.refusal
}

func (g *google) Decrypt(_ context.Context, req *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	text, ok := unseal(string(req.GetCiphertext()))
	if !ok {
		return nil, status.Error(codes.InvalidArgument, "Decryption failed: the ciphertext is invalid.")
	}
	return &kmspb.DecryptResponse{Plaintext: []byte(text)}, g.refusal
}

func startGoogle(t *testing.T) (*google, *Root) {
	t.Helper()
	g := &google{t: t}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kmspb.RegisterKeyManagementServiceServer(server, g)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	client, err := cloudkms.NewKeyManagementClient(t.Context(), option.WithEndpoint(listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return g, &Root{id: "gcpkms://" + googleKey, keeper: gcpkms.OpenKeeper(client, googleKey, nil), patience: time.Second}
}

func TestGoogle(t *testing.T) {
	g, root := startGoogle(t)
	checkRoundTrip(t, root)
	_, err := root.Unwrap(t.Context(), []byte("altered"))
	checkError(t, err, false, root.ID()+" refuses to decrypt it: Google answers InvalidArgument: Decryption failed: the ciphertext is invalid.")

	for name, tt := range map[string]struct {
		refusal error
		want    string
	}{
		"disabled":  {status.Error(codes.FailedPrecondition, googleKey+"/cryptoKeyVersions/1 is not enabled, current state is: DISABLED."), "Google answers FailedPrecondition: " + googleKey + "/cryptoKeyVersions/1 is not enabled, current state is: DISABLED."},
		"denied":    {status.Error(codes.PermissionDenied, "Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied."), "Google answers PermissionDenied: Permission 'cloudkms.cryptoKeyVersions.useToDecrypt' denied."},
		"not found": {status.Error(codes.NotFound, "CryptoKey not found."), "Google answers NotFound: CryptoKey not found."},
		"throttled": {status.Error(codes.ResourceExhausted, "Quota exceeded."), "Google answers ResourceExhausted: Quota exceeded."},
		"broken":    {status.Error(codes.Internal, "Internal error encountered."), "Google answers Internal: Internal error encountered."},
	} {
		t.Run(name, func(t *testing.T) {
			g.refusal = tt.refusal
			_, err := root.Unwrap(t.Context(), []byte(sealedPrefix))
			checkError(t, err, true, unavailableText(root, tt.want))
		})
	}
}

// Google's client tries again for as long as it is let.
func TestGoogleUnavailable(t *testing.T) {
	g, root := startGoogle(t)
	root.patience = 50 * time.Millisecond
	g.refusal = status.Error(codes.Unavailable, "try again")
	_, err := root.Unwrap(t.Context(), []byte(sealedPrefix))
	checkError(t, err, true, "the root key cannot be reached: "+root.ID()+" did not answer to decrypt within 50ms")
}

// Credentials that were not there at the first attempt are found at the second.
func TestGoogleCredentialsAreLookedForAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.json")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	_, err := Open(t.Context(), "gcpkms://"+googleKey)
	checkError(t, err, true, "preparing gcpkms://"+googleKey+": the root key cannot be reached: google: error getting credentials using GOOGLE_APPLICATION_CREDENTIALS environment variable: open "+file+": no such file or directory")
	if err := os.WriteFile(file, []byte(`{"type":"authorized_user","client_id":"id","client_secret":"secret","refresh_token":"token"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if root := open(t, "gcpkms://"+googleKey); root.ID() != "gcpkms://"+googleKey {
		t.Errorf("id is %s", root.ID())
	}
}
