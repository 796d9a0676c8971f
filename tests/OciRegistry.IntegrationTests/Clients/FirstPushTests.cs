using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Clients;

/// <summary>Clients start all blobs of an image at the same time, and the first image finds no folder there yet.</summary>
public sealed class FirstPushTests
{
    [Fact]
    public async Task Blobs_pushed_at_the_same_time_into_a_new_repository_are_all_taken()
    {
        await using var registry = await ServerProcess.StartAsync();
        for (var round = 0; round < 20; round++)
        {
            var repository = RegistryClient.NewRepository();
            var blobs = Enumerable.Range(0, 8).Select(_ => RegistryClient.RandomBytes(1000)).ToArray();

            var started = await Task.WhenAll(blobs.Select(_ => registry.Http.StartUploadAsync(repository)));
            started.Select(response => response.StatusCode).ShouldAllBe(code => code == HttpStatusCode.Accepted, registry.Log);
            var closed = await Task.WhenAll(blobs.Zip(started, (blob, upload) => registry.Http.CompleteAsync(
                upload.Headers.Location!.ToString(), Digest.Of(blob).ToString(), blob)));

            closed.Select(response => response.StatusCode).ShouldAllBe(code => code == HttpStatusCode.Created, registry.Log);
        }
    }
}
