# Not -alpine: its Bun makes an executable for musl, which does not start on Debian.
FROM oven/bun:1.4.5-slim AS build
WORKDIR /build
COPY package.json bun.lock bunfig.toml ./
# --production: a devDependency is npm's own copy of Bun, which would hide the image's.
RUN bun install --frozen-lockfile --production
COPY tsconfig.json ./
COPY client client
COPY console console
COPY src src
RUN bun run build

FROM debian:bookworm-slim
# No ca-certificates: Bun carries Mozilla's. A private CA for rediss:// is given in NODE_EXTRA_CA_CERTS.
COPY --from=build /build/dist/lockstep /usr/local/bin/lockstep
# A number, so that Kubernetes' runAsNonRoot can tell.
USER 10001:10001
EXPOSE 9001
# It sees the environment, not the server's arguments: where a file sets the port, name the file in LOCKSTEP_CONFIG.
# Builders that default to the OCI format drop this line: buildah and podman need --format docker.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["lockstep", "healthcheck"]
ENTRYPOINT ["lockstep"]
