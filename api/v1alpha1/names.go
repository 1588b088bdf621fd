package v1alpha1

// Annotations and labels. Everything below the prefix usersecrets.dev/ belongs
// to this project; admission keeps the ones marked "stamped" from being forged.
const (
	// OwnerAnnotation on a Namespace names the Kubernetes username that the
	// namespace belongs to. The operator can be told to read another key.
	OwnerAnnotation = "usersecrets.dev/owner"

	// CreatedByAnnotation on a UserSecret is the username that created it.
	// Stamped at admission, immutable.
	CreatedByAnnotation = "usersecrets.dev/created-by"
	// VerifyRequestedAtAnnotation on a UserSecret asks for a connection test: the
	// present time (RFC 3339). A later one asks again.
	VerifyRequestedAtAnnotation = "usersecrets.dev/verify-requested-at"

	// RewrapRequestedAtAnnotation on an EncryptionKey asks that all key material be
	// wrapped by the first root key; another value asks again.
	RewrapRequestedAtAnnotation = "usersecrets.dev/rewrap-requested-at"

	// InjectAnnotation on a Pod lists the secrets that it asks for:
	// "provider", "provider/type" or "name:usersecret", each with an optional
	// "=KEY", separated by commas or newlines.
	InjectAnnotation = "usersecrets.dev/inject"
	// InjectAsAnnotation on a Pod says how: "volume" (default) or "env".
	InjectAsAnnotation = "usersecrets.dev/inject-as"
	// MountPathAnnotation on a Pod moves the volume from DefaultMountPath.
	MountPathAnnotation = "usersecrets.dev/mount-path"
	// TTLAnnotation on a Pod bounds how long its projection holds data, as a
	// Go duration such as "30m".
	TTLAnnotation = "usersecrets.dev/ttl"
	// ContainersAnnotation on a Pod names the containers that get the values,
	// separated by commas; without it, all do.
	ContainersAnnotation = "usersecrets.dev/containers"
	// WorkflowAnnotation and NodeAnnotation on a Pod say on whose behalf it
	// runs: the workflow, and the step (node) of that workflow.
	WorkflowAnnotation = "usersecrets.dev/workflow"
	NodeAnnotation     = "usersecrets.dev/node"

	// ProjectionAnnotation on a Pod is the name of the Secret issued to it.
	// Stamped at admission, immutable.
	ProjectionAnnotation = "usersecrets.dev/projection"
	// RequestedByAnnotation on a Pod is the username that created it. Stamped
	// at admission, immutable.
	RequestedByAnnotation = "usersecrets.dev/requested-by"
	// InjectedLabel on a Pod, always "true", selects the pods that the
	// operator watches. Stamped at admission, immutable.
	InjectedLabel = "usersecrets.dev/injected"

	// PodNameAnnotation and PodUIDAnnotation on a projection name the one pod
	// that it was issued to.
	PodNameAnnotation = "usersecrets.dev/pod-name"
	PodUIDAnnotation  = "usersecrets.dev/pod-uid"
	// SourcesAnnotation on a projection is a JSON object from each key to the
	// UserSecret that it came from.
	SourcesAnnotation = "usersecrets.dev/sources"

	// AnnotationPrefix is reserved to this project on every object.
	AnnotationPrefix = "usersecrets.dev/"
)

const (
	// ProjectionSecretType is the type of every projection, and of no other Secret.
	ProjectionSecretType = "usersecrets.dev/projection"
	// ProjectionNamePrefix starts the name of every projection; the prefix is
	// reserved to the operator among Secrets.
	ProjectionNamePrefix = "usersecret-"

	// DefaultMountPath is where a pod finds its values as files.
	DefaultMountPath = "/var/run/usersecrets"

	// SealingKeyName is the name of the one SealingKey of a user namespace.
	SealingKeyName = "sealing-key"

	// OperatorNamespace is where the operator is installed by default.
	OperatorNamespace = "usersecrets-system"
	// OperatorName names the operator's Deployment, ServiceAccount and
	// webhook configurations.
	OperatorName = "usersecret-operator"

	// DelegateVerb on usersecrets lets somebody else than the owner write
	// sealed UserSecrets in a namespace (GitOps controllers, administrators).
	DelegateVerb = "delegate"
	// AssignOwnerVerb on namespaces lets somebody set or change an owner.
	AssignOwnerVerb = "assign-owner"
)
