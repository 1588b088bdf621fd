# The operator alone: a static binary, no shell, no package manager, not root.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api/ api/
COPY cmd/ cmd/
COPY config/policy/ config/policy/
COPY controllers/ controllers/
COPY internal/ internal/
COPY webhook/ webhook/
ARG TARGETOS TARGETARCH VERSION=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /usersecret-operator ./cmd/usersecret-operator

FROM scratch
COPY --from=build /usersecret-operator /usersecret-operator
USER 65532:65532
EXPOSE 9443 8080 8081
ENTRYPOINT ["/usersecret-operator"]
