# nginx with the output of `uwgate nginx`. The flags are those of uwgate in the compose file:
# FLAGS has one a line.
ARG UWGATE_IMAGE=uwgate
FROM ${UWGATE_IMAGE} AS uwgate

FROM nginx:stable
COPY --from=uwgate /uwgate /usr/local/bin/uwgate
ARG FLAGS
# nginx resolves names when it starts, so it starts after the servers that it names.
RUN printf '%s' "$FLAGS" | sed '/^ *$/d; s/^ *//' | tr '\n' '\0' \
  | UWGATE_ADMIN= xargs -0 uwgate nginx --server-name _ >/etc/nginx/conf.d/default.conf \
 && rm /usr/local/bin/uwgate
