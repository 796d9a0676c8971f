using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Disks;

/// <summary>R5.2 on a disk that really loses what it was given: bytes are compared after the page cache has gone.</summary>
public sealed class ThinVolumeTests
{
    [Fact]
    public async Task A_blob_whose_write_back_failed_is_never_acknowledged_with_lost_bytes()
    {
        await using var volume = await ThinVolume.MountAsync("40m");
        var content = RegistryClient.RandomBytes(40 * 1024 * 1024);
        var digest = Digest.Of(content);
        var repository = RegistryClient.NewRepository();
        await using (var server = await StartAsync(volume))
        {
            var location = await StageAsync(server, repository, content);
            using (var refused = await server.Http.CompleteAsync(location, digest.ToString()))
            {
                ((int)refused.StatusCode).ShouldBeOneOf(503, 507);
            }

            await volume.ExtendAsync("300m");
            await PushUntilAcknowledgedAsync(server, repository, location, content);
        }

        await volume.RemountAsync();
        await using var after = await StartAsync(volume);
        using var pulled = await after.Http.GetBlobAsync(repository, digest);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    private static Task<ServerProcess> StartAsync(ThinVolume volume) => ServerProcess.StartOnAsync(
        volume.Path, settings: "OciRegistry:Uploads:CommitWait=00:00:01");

    /// <summary>Repeats the closing request, and starts again when its session is gone. The disk may report old failures late.</summary>
    private static async Task PushUntilAcknowledgedAsync(
        ServerProcess server, string repository, string location, byte[] content)
    {
        for (var attempt = 1; attempt <= 10; attempt++)
        {
            using var closed = await server.Http.CompleteAsync(location, Digest.Of(content).ToString());
            switch (closed.StatusCode)
            {
                case HttpStatusCode.Created:
                    return;

                case HttpStatusCode.NotFound:
                    location = await StageAsync(server, repository, content);
                    break;

                default:
                    ((int)closed.StatusCode).ShouldBeOneOf(503, 507);
                    break;
            }
        }

        Assert.Fail($"No attempt to push was acknowledged.\n{server.Log}");
    }

    private static async Task<string> StageAsync(ServerProcess server, string repository, byte[] content)
    {
        using var patched = await server.Http.PatchAsync(await server.Http.NewUploadAsync(repository), content);
        await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        return patched.Headers.Location!.ToString();
    }
}
