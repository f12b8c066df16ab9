// The old route says 202 to what the new one says of an invocation; other answers stay as they are.
// nginx.conf has put 202 there for all of them.
function accepted(r) {
    const status = Number(r.variables.upstream_status);
    if (status != 200 && status != 404 && status != 409) {
        r.status = status;
    }
}
export default { accepted };
