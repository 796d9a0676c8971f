namespace OciRegistry.Conformance.Areas;

internal static class VersionArea
{
    public static Area Area { get; } = new Area("Version")
        .Must("end-1: GET /v2/ is answered 200", async repository =>
            await repository.Registry.Request("GET", "/v2/").Answers(200))
        .Should("end-1: HEAD /v2/ is answered 200, as RFC 9110 wants HEAD wherever there is GET", async repository =>
            await repository.Registry.Request("HEAD", "/v2/").Answers(200))
        .Should("end-1: GET /v2/ survives an empty Accept header, which Jib sends", async repository =>
            await repository.Registry.Request("GET", "/v2/").With("Accept", "").OverTcp().Answers(200))
        .Must("general: an extension that is not there is answered 404", async repository =>
            await repository.Registry.Request("GET", "/v2/_example/none").Answers(404));
}
