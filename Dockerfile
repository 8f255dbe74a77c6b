# Two stages: the compiler, and an image that holds one static program, the certificates that
# servers are checked with, and nothing else: no shell, no package manager, no root.
#
#   docker build -t sallyport .
#   docker run -p 8080:8080 -v "$PWD/sallyport:/config:ro" -v sallyport-state:/state sallyport
#
# /config holds sallyport.yaml and the policies; `state: /state` in it, and `listen:
# 0.0.0.0:8080` with `tls` or `behindTLS: true`, since the gateway takes no token in the clear
# from another machine.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/sallyport ./cmd/sallyport \
 && install -d -m 0700 /out/state \
 && install -d -m 1777 /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/sallyport /sallyport
COPY --from=build --chown=65532:65532 /out/state /state
COPY --from=build /out/tmp /tmp
USER 65532:65532
ENV SALLYPORT_CONFIG=/config/sallyport.yaml
VOLUME ["/state"]
EXPOSE 8080
ENTRYPOINT ["/sallyport"]
CMD ["serve"]
