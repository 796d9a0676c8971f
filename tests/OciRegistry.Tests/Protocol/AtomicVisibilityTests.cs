using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>R0: nothing is visible before it is whole. (The manifest gate, R0.3, is in ManifestReferenceTests.)</summary>
public sealed class AtomicVisibilityTests(RegistryFixture fixture) : IClassFixture<RegistryFixture>
{
    private readonly HttpClient _http = fixture.Registry.Http;
    private readonly string _repository = RegistryClient.NewRepository();

    [Fact]
    public async Task A_blob_is_unknown_until_its_push_is_answered_and_whole_from_then_on() // R0.1, R0.2
    {
        var blob = RegistryClient.RandomBytes(1_000_000);
        var digest = Digest.Of(blob);
        var committing = 0;
        var committed = 0;
        var pushed = Task.Run(async () =>
        {
            var location = await _http.NewUploadAsync(_repository);
            for (var from = 0; from < blob.Length; from += 100_000)
            {
                using var chunk = await _http.PatchAsync(
                    location, blob[from..(from + 100_000)], $"{from}-{from + 99_999}");
                chunk.StatusCode.ShouldBe(HttpStatusCode.Accepted);
            }

            Volatile.Write(ref committing, 1);
            using var put = await _http.CompleteAsync(location, digest.ToString());
            put.StatusCode.ShouldBe(HttpStatusCode.Created);
            Volatile.Write(ref committed, 1);
        });

        await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => Task.Run(async () =>
        {
            for (var seen = 0; seen < 3;)
            {
                pushed.IsFaulted.ShouldBeFalse();
                var wasCommitted = Volatile.Read(ref committed) == 1;
                using var get = await _http.GetBlobAsync(_repository, digest);
                if (get.StatusCode == HttpStatusCode.NotFound)
                {
                    wasCommitted.ShouldBeFalse("404 to a request that was started after the 201");
                    continue;
                }

                Volatile.Read(ref committing).ShouldBe(1, "200 before the closing request");
                await get.ShouldBeContentAsync(digest, blob);
                seen++;
            }
        })));
        await pushed;
    }

    [Fact]
    public async Task Readers_of_a_tag_that_moves_see_one_manifest_or_the_other() // R0.5
    {
        byte[][] manifests = [RegistryClient.EmptyIndex(), RegistryClient.EmptyIndex()];
        await PutAsync(manifests[0]);
        var done = 0;
        var readers = Enumerable.Range(0, 5).Select(_ => Task.Run(async () =>
        {
            var seen = new HashSet<int>();
            while (Volatile.Read(ref done) == 0)
            {
                using var get = await _http.GetManifestAsync(_repository, "v1");
                await get.ShouldHaveStatusAsync(HttpStatusCode.OK);
                var body = await get.Content.ReadAsByteArrayAsync();
                var which = Array.FindIndex(manifests, manifest => manifest.AsSpan().SequenceEqual(body));
                which.ShouldBeGreaterThanOrEqualTo(0, "neither of the two");
                get.Header("Docker-Content-Digest").ShouldBe(Digest.Of(body).ToString());
                seen.Add(which);

                using var list = await _http.RequestAsync("GET", $"/v2/{_repository}/tags/list");
                (await list.JsonAsync()).Texts("tags").ShouldBe(["v1"]);
            }

            return seen;
        })).ToArray();

        try
        {
            for (var i = 1; i <= Counts.Of(200, 1_000); i++)
            {
                await PutAsync(manifests[i % 2]);
            }
        }
        finally
        {
            Volatile.Write(ref done, 1);
        }

        (await Task.WhenAll(readers)).SelectMany(seen => seen).Distinct().Count().ShouldBe(2);
    }

    [Fact]
    public async Task Many_writers_of_one_tag_all_succeed_and_one_of_them_is_what_is_read()
    {
        byte[][] manifests = [.. Enumerable.Range(0, 50).Select(_ => RegistryClient.EmptyIndex())];

        await Task.WhenAll(manifests.Select(PutAsync));

        using var get = await _http.GetManifestAsync(_repository, "v1");
        var body = await get.Content.ReadAsByteArrayAsync();
        manifests.ShouldContain(manifest => manifest.SequenceEqual(body));
    }

    private async Task PutAsync(byte[] manifest)
    {
        using var put = await _http.PutManifestAsync(_repository, "v1", manifest, MediaTypes.ImageIndex);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }
}
