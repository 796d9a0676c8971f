using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Replicas;

/// <summary>R0 and R2.6 with three processes: whatever one replica has answered, the others know.</summary>
public sealed class VisibilityTests
{
    private readonly string _repository = RegistryClient.NewRepository();

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task A_blob_is_unknown_on_every_replica_until_it_is_whole(Shared shared)
    {
        // R0.1
        await using var replicas = await ReplicaSet.StartAsync(shared);
        var content = RegistryClient.RandomBytes(Counts.Of(ci: 2, full: 100) * 1024 * 1024);
        var digest = Digest.Of(content);
        var isClosing = false;
        using var done = new CancellationTokenSource();
        var pollers = Enumerable.Range(0, Counts.Of(ci: 3, full: 9)).Select(i => Task.Run(async () =>
        {
            var (unknown, whole) = (0, 0);
            while (!done.IsCancellationRequested || whole == 0)
            {
                using var answer = i % 2 == 0
                    ? await replicas[i % 3].Http.GetBlobAsync(_repository, digest, isRead: false)
                    : await replicas[i % 3].Http.HeadBlobAsync(_repository, digest);
                if (answer.StatusCode == HttpStatusCode.NotFound)
                {
                    whole.ShouldBe(0, "it was there before");
                    unknown++;
                    continue;
                }

                answer.StatusCode.ShouldBe(HttpStatusCode.OK);
                Volatile.Read(ref isClosing).ShouldBeTrue("nobody has closed the upload yet");
                answer.Content.Headers.ContentLength.ShouldBe(content.Length);
                if (i % 2 == 0)
                {
                    await answer.ShouldBeContentAsync(digest, content);
                }

                whole++;
            }

            return unknown;
        })).ToArray();

        var location = await replicas.Any.Http.NewUploadAsync(_repository);
        foreach (var chunk in content.Chunk(content.Length / 20))
        {
            using var patched = await replicas.Any.Http.PatchAsync(location, chunk);
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            location = patched.Headers.Location!.ToString();
        }

        Volatile.Write(ref isClosing, true);
        using (var closed = await replicas.Any.Http.CompleteAsync(location, digest.ToString()))
        {
            await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        await replicas.ShouldServeAsync(_repository, content);
        await done.CancelAsync();
        (await Task.WhenAll(pollers)).ShouldAllBe(unknown => unknown > 0);
    }

    [Theory]
    [MemberData(nameof(Sharing.Every), MemberType = typeof(Sharing))]
    public async Task What_was_unknown_everywhere_is_there_everywhere_once_201_was_answered_and_gone_after_202(Shared shared)
    {
        // R0.2, R2.6, R2.7
        await using var replicas = await ReplicaSet.StartAsync(shared);
        var other = RegistryClient.NewRepository();
        for (var round = 0; round < Counts.Of(ci: 10, full: 1_000); round++)
        {
            var content = RegistryClient.RandomBytes(1_000);
            var digest = Digest.Of(content);
            await ShouldBeAsync(HttpStatusCode.NotFound, _repository);
            await replicas.Any.Http.PushBlobAsync(_repository, content);
            await ShouldBeAsync(HttpStatusCode.OK, _repository);
            await ShouldBeAsync(HttpStatusCode.NotFound, other);
            using (var mounted = await replicas.Any.Http.StartUploadAsync(other, $"?mount={digest}&from={_repository}"))
            {
                mounted.StatusCode.ShouldBe(HttpStatusCode.Created);
            }

            await ShouldBeAsync(HttpStatusCode.OK, other);
            using (var deleted = await replicas.Any.Http.DeleteAsync($"/v2/{_repository}/blobs/{digest}"))
            {
                deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
            }

            await ShouldBeAsync(HttpStatusCode.NotFound, _repository);
            await ShouldBeAsync(HttpStatusCode.OK, other);

            async Task ShouldBeAsync(HttpStatusCode status, string repository)
            {
                for (var i = 0; i < replicas.Count; i++)
                {
                    using var head = await replicas[i].Http.HeadBlobAsync(repository, digest);
                    head.StatusCode.ShouldBe(status, $"HEAD on replica {i}, round {round}");
                    using var get = await replicas[i].Http.GetBlobAsync(repository, digest);
                    get.StatusCode.ShouldBe(status, $"GET on replica {i}, round {round}");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sharing.WithRedis), MemberType = typeof(Sharing))]
    public async Task A_manifest_with_a_layer_that_is_only_staged_is_refused_by_every_replica(Shared shared)
    {
        // R0.3
        await using var replicas = await ReplicaSet.StartAsync(shared);
        var before = await replicas.Any.Http.PushImageAsync(_repository, "v1");
        var config = "{}"u8.ToArray();
        byte[][] layers = [.. Enumerable.Range(0, 3).Select(_ => RegistryClient.RandomBytes(1_000))];
        await replicas.Any.Http.PushBlobAsync(_repository, config);
        await replicas.Any.Http.PushBlobAsync(_repository, layers[0]);
        var location = await replicas.Any.Http.NewUploadAsync(_repository);
        using var staged = await replicas.Any.Http.PatchAsync(location, layers[1]);
        var manifest = RegistryClient.ImageManifest(config, layers);
        for (var i = 0; i < replicas.Count; i++)
        {
            using var refused = await replicas[i].Http.PutManifestAsync(_repository, "v1", manifest);
            refused.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            (await refused.ErrorCodesAsync()).ShouldBe(["MANIFEST_BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"]);
            using var tag = await replicas[i].Http.GetManifestAsync(_repository, "v1");
            await tag.ShouldBeContentAsync(Digest.Of(before), before);
            using var unknown = await replicas[i].Http.GetManifestAsync(_repository, Digest.Of(manifest).ToString());
            unknown.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }
    }

    [Theory]
    [MemberData(nameof(Sharing.WithRedis), MemberType = typeof(Sharing))]
    public async Task Readers_on_every_replica_see_a_tag_that_moves_as_the_one_manifest_or_the_other(Shared shared)
    {
        // R0.5
        await using var replicas = await ReplicaSet.StartAsync(shared);
        byte[][] manifests =
        [
            await replicas.Any.Http.PushImageAsync(_repository, "t"), await replicas.Any.Http.PushImageAsync(_repository, "t"),
        ];
        using var done = new CancellationTokenSource();
        var readers = Enumerable.Range(0, Counts.Of(ci: 6, full: 20)).Select(i => Task.Run(async () =>
        {
            while (!done.IsCancellationRequested)
            {
                using var read = await replicas[i % 3].Http.GetManifestAsync(_repository, "t");
                read.StatusCode.ShouldBe(HttpStatusCode.OK);
                var bytes = await read.Content.ReadAsByteArrayAsync();
                manifests.Select(manifest => Digest.Of(manifest)).ShouldContain(Digest.Of(bytes));
                read.Header("Docker-Content-Digest").ShouldBe(Digest.Of(bytes).ToString());
                using var tags = await replicas[i % 3].Http.GetAsync(new Uri($"/v2/{_repository}/tags/list", UriKind.Relative));
                (await tags.JsonAsync()).Texts("tags").ShouldBe(["t"]);
            }
        })).ToArray();
        for (var i = 0; i < Counts.Of(ci: 60, full: 1_000); i++)
        {
            using var moved = await replicas.Any.Http.PutManifestAsync(_repository, "t", manifests[i % 2]);
            moved.StatusCode.ShouldBe(HttpStatusCode.Created);
            for (var replica = 0; replica < replicas.Count; replica++)
            {
                using var read = await replicas[replica].Http.GetManifestAsync(_repository, "t");
                read.Header("Docker-Content-Digest").ShouldBe(Digest.Of(manifests[i % 2]).ToString());
            }
        }

        await done.CancelAsync();
        await Task.WhenAll(readers);
    }

    [Theory]
    [MemberData(nameof(Sharing.WithRedis), MemberType = typeof(Sharing))]
    public async Task Without_its_Redis_every_replica_goes_on_and_says_so_until_it_is_back(Shared shared)
    {
        // R0.6
        await using var replicas = await ReplicaSet.StartAsync(shared);
        var content = RegistryClient.RandomBytes(10_000);
        var location = await replicas[0].Http.NewUploadAsync(_repository);
        using (var patched = await replicas[1].Http.PatchAsync(location, content[..4_000]))
        {
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            location = patched.Headers.Location!.ToString();
        }

        await replicas.Redis!.KillAsync();
        await ShouldBeAsync("degraded");
        using (var patched = await replicas[2].Http.PatchAsync(location, content[4_000..]))
        {
            await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            location = patched.Headers.Location!.ToString();
        }

        using (var closed = await replicas[0].Http.CompleteAsync(location, Digest.Of(content).ToString()))
        {
            await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        }

        await replicas.ShouldServeAsync(_repository, content);
        await replicas.Redis.RestartAsync();
        await ShouldBeAsync("ready");
        await replicas.Any.Http.PushImageAsync(_repository, "v1");

        Task ShouldBeAsync(string status) => Until.TrueAsync(
            async () =>
            {
                for (var i = 0; i < replicas.Count; i++)
                {
                    using var ready = await replicas[i].Http.GetAsync(new Uri("/readyz", UriKind.Relative));
                    ready.StatusCode.ShouldBe(HttpStatusCode.OK);
                    if ((string?)(await ready.JsonAsync())["status"] != status)
                    {
                        return false;
                    }
                }

                return true;
            },
            $"every replica is {status}");
    }
}
