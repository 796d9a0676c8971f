using System.Net;
using System.Net.Http.Headers;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Guarantees;

/// <summary>R0: nothing is visible before it is whole. R2: nothing is said to be there that is not.</summary>
public sealed class VisibilityTests
{
    [Fact]
    public async Task A_blob_is_unknown_until_it_is_whole()
    {
        // R0.1
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(Counts.Of(ci: 4, full: 100) * 1024 * 1024);
        var digest = Digest.Of(content);
        var closing = false;
        using var stop = new CancellationTokenSource();
        var pollers = Enumerable.Range(0, Counts.Of(ci: 2, full: 10)).Select(_ => Task.Run(async () =>
        {
            var polls = 0;
            while (!stop.IsCancellationRequested)
            {
                using var head = await registry.Http.HeadBlobAsync(repository, digest);
                using var get = await registry.Http.GetBlobAsync(repository, digest, isRead: false);
                if (head.StatusCode == HttpStatusCode.OK)
                {
                    Volatile.Read(ref closing).ShouldBeTrue();
                    head.Content.Headers.ContentLength.ShouldBe(content.Length);
                    get.StatusCode.ShouldBe(HttpStatusCode.OK);
                }

                if (get.StatusCode == HttpStatusCode.OK)
                {
                    await get.ShouldBeContentAsync(digest, content);
                }
                else
                {
                    await get.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
                }

                polls++;
            }

            return polls;
        })).ToArray();

        var location = await registry.Http.NewUploadAsync(repository);
        foreach (var chunk in content.Chunk(content.Length / 16))
        {
            using var patched = await registry.Http.PatchAsync(location, chunk);
            location = patched.Headers.Location!.ToString();
        }

        Volatile.Write(ref closing, true);
        using var created = await registry.Http.CompleteAsync(location, digest.ToString());
        await created.ShouldHaveCreatedAsync(registry.Http, digest, content);
        await stop.CancelAsync();
        (await Task.WhenAll(pollers)).Sum().ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task What_was_unknown_a_moment_ago_is_there_once_201_was_answered()
    {
        // R0.2: no negative cache, on this replica or another over the same storage.
        await using var one = await FaultyRegistry.StartAsync();
        await using var other = await FaultyRegistry.StartAsync(root: one.Root.Root);
        for (var round = 0; round < Counts.Of(ci: 30, full: 1_000); round++)
        {
            var repository = RegistryClient.NewRepository();
            var content = RegistryClient.RandomBytes(100);
            var digest = Digest.Of(content);
            foreach (var registry in new[] { one, other })
            {
                (await registry.Http.HeadBlobAsync(repository, digest)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
                (await registry.Http.GetBlobAsync(repository, digest)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
            }

            await one.Http.PushBlobAsync(repository, content);
            foreach (var registry in new[] { one, other })
            {
                (await registry.Http.HeadBlobAsync(repository, digest)).StatusCode.ShouldBe(HttpStatusCode.OK);
                using var pulled = await registry.Http.GetBlobAsync(repository, digest);
                await pulled.ShouldBeContentAsync(digest, content);
            }
        }
    }

    [Fact]
    public async Task A_body_that_is_cut_off_never_looks_complete_and_can_be_gone_on_with()
    {
        // R0.4
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(500_000);
        var digest = await registry.Http.PushBlobAsync(repository, content);
        var random = new Random(20260101);
        for (var round = 0; round < Counts.Of(ci: 10, full: 100); round++)
        {
            registry.Plan.FailsReadsAt = random.Next(1, content.Length);
            var received = new MemoryStream();
            var isCutOff = false;
            try
            {
                using var response = await registry.Http.GetAsync(
                    new Uri($"/v2/{repository}/blobs/{digest}", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
                response.StatusCode.ShouldBe(HttpStatusCode.OK);
                response.Content.Headers.ContentLength.ShouldBe(content.Length);
                await response.Content.CopyToAsync(received);
            }
            catch (HttpRequestException)
            {
                isCutOff = true;
            }

            isCutOff.ShouldBeTrue();
            registry.Plan.FailsReadsAt = null;
            var request = new HttpRequestMessage(HttpMethod.Get, $"/v2/{repository}/blobs/{digest}");
            request.Headers.Range = new RangeHeaderValue(received.Length, null);
            request.Headers.IfRange = new RangeConditionHeaderValue($"\"{digest}\"");
            using var rest = await registry.Http.SendAsync(request);
            rest.StatusCode.ShouldBe(HttpStatusCode.PartialContent);
            await rest.Content.CopyToAsync(received);
            Digest.Of(received.ToArray()).ShouldBe(digest);
        }
    }

    [Fact]
    public async Task A_registry_whose_storage_is_gone_is_not_ready_and_denies_nothing()
    {
        // R0.6: an unmounted volume is an empty folder; what it had is unavailable, not unknown.
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var digest = await registry.Http.PushBlobAsync(repository, RegistryClient.RandomBytes(100));
        (await registry.Http.GetAsync(new Uri("/readyz", UriKind.Relative))).StatusCode.ShouldBe(HttpStatusCode.OK);

        var aside = registry.Root.Root + ".aside";
        Directory.Move(registry.Root.Root, aside);
        Directory.CreateDirectory(registry.Root.Root);
        try
        {
            foreach (var path in new[]
            {
                $"/v2/{repository}/blobs/{digest}", $"/v2/{repository}/manifests/v1", $"/v2/{repository}/tags/list", "/v2/_catalog",
            })
            {
                using var answer = await registry.Http.GetAsync(new Uri(path, UriKind.Relative));
                await answer.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
            }

            await Until.TrueAsync(
                async () => (await registry.Http.GetAsync(new Uri("/readyz", UriKind.Relative))).StatusCode
                    == HttpStatusCode.ServiceUnavailable,
                "the registry is not ready");
            (await registry.Http.HeadBlobAsync(repository, digest)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        }
        finally
        {
            Directory.Delete(registry.Root.Root, recursive: true);
            Directory.Move(aside, registry.Root.Root);
        }

        (await registry.Http.HeadBlobAsync(repository, digest)).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task Content_that_was_deleted_behind_our_back_is_unknown_until_it_is_pushed_again()
    {
        // R2.1
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var digest = await registry.Http.PushBlobAsync(repository, content);
        (await registry.Http.GetBlobAsync(repository, digest)).StatusCode.ShouldBe(HttpStatusCode.OK);
        File.Delete(registry.Root.Blob(digest));

        using (var missing = await registry.Http.GetBlobAsync(repository, digest))
        {
            await missing.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UNKNOWN");
        }

        (await registry.Http.HeadBlobAsync(repository, digest)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        registry.Log.Lines.ShouldContain(line => line.Contains(digest.ToString(), StringComparison.Ordinal));
        (await registry.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
            .ShouldContain("oci_registry_integrity_events_total{kind=\"blob_missing\"} 2");

        await registry.Http.PushBlobAsync(repository, content);
        using var pulled = await registry.Http.GetBlobAsync(repository, digest);
        await pulled.ShouldBeContentAsync(digest, content);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(600)]
    [InlineData(2_000)]
    public async Task Content_of_another_size_is_unknown_until_it_is_pushed_again_and_is_kept_aside(int damagedSize)
    {
        // R4.5
        await using var registry = await FaultyRegistry.StartAsync();
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(1_000);
        var digest = await registry.Http.PushBlobAsync(repository, content);
        var damaged = RegistryClient.RandomBytes(damagedSize);
        await File.WriteAllBytesAsync(registry.Root.Blob(digest), damaged);

        (await registry.Http.HeadBlobAsync(repository, digest)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await registry.Http.GetBlobAsync(repository, digest)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        using (var mounted = await registry.Http.StartUploadAsync(
            RegistryClient.NewRepository(), $"?mount={digest}&from={repository}"))
        {
            mounted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        }

        await registry.Http.PushBlobAsync(repository, content);
        using var pulled = await registry.Http.GetBlobAsync(repository, digest);
        await pulled.ShouldBeContentAsync(digest, content);
        var aside = Directory.EnumerateFiles(registry.Root.Quarantine).ShouldHaveSingleItem();
        (await File.ReadAllBytesAsync(aside)).ShouldBe(damaged);
    }

    [Fact]
    public async Task A_blob_that_was_deleted_from_one_repository_stays_deleted_there()
    {
        // R2.7: the sequence of CVE-2026-35172
        await using var registry = await FaultyRegistry.StartAsync();
        var (a, b) = (RegistryClient.NewRepository(), RegistryClient.NewRepository());
        var content = RegistryClient.RandomBytes(1_000);
        var digest = await registry.Http.PushBlobAsync(a, content);
        await registry.Http.PushBlobAsync(b, content);
        (await registry.Http.GetBlobAsync(a, digest)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await registry.Http.DeleteAsync($"/v2/{a}/blobs/{digest}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        for (var round = 0; round < 3; round++)
        {
            (await registry.Http.HeadBlobAsync(a, digest)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
            (await registry.Http.GetBlobAsync(a, digest)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
            using var pulled = await registry.Http.GetBlobAsync(b, digest);
            await pulled.ShouldBeContentAsync(digest, content);
        }
    }
}
