using System.Net;
using System.Text;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>What requests to an upstream's repositories note goes again, whatever was asked for.</summary>
public sealed class PulledNotesTests : IAsyncLifetime
{
    private readonly ManualTimeProvider _time = new();
    private PulledRegistry _registry = null!;

    public async ValueTask InitializeAsync() => _registry = await PulledRegistry.StartAsync(
        up => (up.AllowPush, up.ContentTtl) = (true, TimeSpan.FromDays(1)),
        all => all.PullThrough.SweepInterval = TimeSpan.FromDays(30), // the test sweeps
        _time);

    public ValueTask DisposeAsync() => _registry.DisposeAsync();

    [Fact]
    public async Task Referrers_of_what_does_not_exist_leave_nothing()
    {
        await AssertLeavesNothingAsync(async () =>
        {
            for (var i = 0; i < 5; i++)
            {
                using var list = await _registry.Http.RequestAsync(
                    "GET", $"/v2/up/no/such/repository-{i}/referrers/{Digest.Of(RegistryClient.RandomBytes(10))}");
                list.StatusCode.ShouldBe(HttpStatusCode.OK);
            }

            Documents().ShouldBeEmpty();
        });
    }

    [Fact]
    public async Task Referrers_that_were_listed_leave_nothing()
    {
        var subject = _registry.Upstream.AddImage("a", "v1", RegistryClient.RandomBytes(10)).Digest;
        _registry.Upstream.AddReferrer("a", subject, "application/signature");

        await AssertLeavesNothingAsync(async () =>
        {
            using var list = await _registry.Http.RequestAsync("GET", $"/v2/up/a/referrers/{subject}");
            (await list.JsonAsync())["manifests"]!.AsArray().Count.ShouldBe(1);
        });
    }

    [Theory]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("7")]
    [InlineData("""{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2}""")]
    [InlineData("""{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}""")]
    [InlineData("""{"mediaType":"a/b","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":-1}""")]
    public async Task An_entry_of_a_referrers_list_that_is_no_descriptor_does_not_hide_the_others(string entry)
    {
        var subject = _registry.Upstream.AddImage("a", "v1", RegistryClient.RandomBytes(10)).Digest;
        var referrer = Digest.Of(RegistryClient.RandomBytes(10));
        _registry.Upstream.HasReferrers = false; // so that the list is a manifest
        _registry.Upstream.AddManifest(
            "a",
            Encoding.UTF8.GetBytes(
                $$"""{"schemaVersion":2,"manifests":[{{entry}},{"mediaType":"{{MediaTypes.ImageManifest}}","digest":"{{referrer}}","size":2}]}"""),
            MediaTypes.ImageIndex,
            subject.ToString().Replace(':', '-'));

        using var list = await _registry.Http.RequestAsync("GET", $"/v2/up/a/referrers/{subject}");

        list.StatusCode.ShouldBe(HttpStatusCode.OK);
        (await list.JsonAsync())["manifests"]!.AsArray().ShouldHaveSingleItem()!["digest"]!.ToString().ShouldBe(referrer.ToString());
    }

    [Fact]
    public async Task A_subject_without_referrers_is_asked_for_once_within_TagTtl()
    {
        var subject = Digest.Of(RegistryClient.RandomBytes(10));
        for (var i = 0; i < 3; i++)
        {
            using var list = await _registry.Http.RequestAsync("GET", $"/v2/up/a/referrers/{subject}");
            list.StatusCode.ShouldBe(HttpStatusCode.OK);
            _time.Advance(TimeSpan.FromMinutes(1));
        }

        CountOfReferrers().ShouldBe(1);
        _time.Advance(TimeSpan.FromMinutes(5));
        using var again = await _registry.Http.RequestAsync("GET", $"/v2/up/a/referrers/{subject}");
        CountOfReferrers().ShouldBe(2);

        int CountOfReferrers() =>
            _registry.Upstream.Count(call => call.Path.Contains("/referrers/", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Heads_of_tags_leave_nothing()
    {
        await AssertLeavesNothingAsync(async () =>
        {
            for (var i = 0; i < 5; i++)
            {
                _registry.Upstream.AddImage($"heads-{i}", "v1", RegistryClient.RandomBytes(10));
                using var head = await _registry.Http.RequestAsync("HEAD", $"/v2/up/heads-{i}/manifests/v1");
                head.StatusCode.ShouldBe(HttpStatusCode.OK);
            }
        });
    }

    [Fact]
    public async Task A_tag_that_moves_has_one_reverse_entry_however_often_a_head_has_asked_for_it()
    {
        for (var i = 0; i < 5; i++)
        {
            await MoveAndHeadAsync();
        }

        ReverseEntries().ShouldHaveSingleItem();
    }

    [Fact]
    public async Task A_delete_of_a_tag_takes_the_reverse_entry_of_what_a_head_has_said()
    {
        var first = await MoveAndHeadAsync();
        using (var pulled = await _registry.Http.GetManifestAsync("up/a", "v1"))
        {
            pulled.StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        await MoveAndHeadAsync();
        (await _registry.Http.DeleteAsync("/v2/up/a/manifests/v1")).StatusCode.ShouldBe(HttpStatusCode.Accepted);

        ReverseEntries().ShouldHaveSingleItem().ShouldContain(first.Hex); // goes with that manifest
    }

    [Fact]
    public async Task A_delete_of_a_manifest_takes_a_tag_of_which_a_head_has_said_something_else_since()
    {
        var first = await MoveAndHeadAsync();
        using (var pulled = await _registry.Http.GetManifestAsync("up/a", "v1"))
        {
            pulled.StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        await MoveAndHeadAsync();
        (await _registry.Http.DeleteAsync($"/v2/up/a/manifests/{first}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);

        Documents().ShouldNotContain(file => file.Contains("/_tags/", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_image_that_was_pulled_leaves_nothing(bool isDeleted)
    {
        await AssertLeavesNothingAsync(async () =>
        {
            var image = _registry.Upstream.AddImage("a", "v1", RegistryClient.RandomBytes(10));
            foreach (var path in image.Layers.Append(image.Config).Select(blob => $"blobs/{blob.Digest}").Prepend("manifests/v1"))
            {
                using var pulled = await _registry.Http.RequestAsync("GET", $"/v2/up/a/{path}");
                pulled.StatusCode.ShouldBe(HttpStatusCode.OK);
            }

            await _registry.UntilIdleAsync();
            if (isDeleted)
            {
                (await _registry.Http.DeleteAsync($"/v2/up/a/manifests/{image.Digest}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
            }
        });
    }

    [Fact]
    public async Task An_image_that_was_pushed_and_deleted_leaves_nothing()
    {
        await AssertLeavesNothingAsync(async () =>
        {
            var config = RegistryClient.RandomBytes(10);
            await _registry.Http.PushBlobAsync("up/a", config);
            var manifest = RegistryClient.ImageManifest(config, []);
            using (var put = await _registry.Http.PutManifestAsync("up/a", "v1", manifest))
            {
                put.StatusCode.ShouldBe(HttpStatusCode.Created);
            }

            foreach (var path in new[] { "manifests/v1", $"manifests/{Digest.Of(manifest)}", $"blobs/{Digest.Of(config)}" })
            {
                (await _registry.Http.DeleteAsync($"/v2/up/a/{path}")).StatusCode.ShouldBe(HttpStatusCode.Accepted, path);
            }
        });
    }

    /// <summary>The upstream's tag moves, and is asked for when that counts.</summary>
    private async Task<Digest> MoveAndHeadAsync()
    {
        var digest = _registry.Upstream.AddImage("a", "v1", RegistryClient.RandomBytes(10)).Digest;
        _time.Advance(TimeSpan.FromHours(1));
        using var head = await _registry.Http.RequestAsync("HEAD", "/v2/up/a/manifests/v1");
        head.Header("Docker-Content-Digest").ShouldBe(digest.ToString());
        return digest;
    }

    private IEnumerable<string> ReverseEntries() =>
        Documents().Where(file => file.Contains("/_tagged/", StringComparison.Ordinal));

    /// <summary>Of documents, once all has had its time and the sweeps have come by.</summary>
    private async Task AssertLeavesNothingAsync(Func<Task> act)
    {
        var before = Documents();
        await act();
        _time.Advance(TimeSpan.FromHours(2));
        await _registry.SweepAsync(); // too early
        _time.Advance(TimeSpan.FromDays(20));
        for (var i = 0; i < 3; i++)
        {
            await _registry.SweepAsync();
        }

        Documents().Except(before).ShouldBeEmpty();
    }

    private string[] Documents()
    {
        var folder = Path.Combine(_registry.App.Root, "documents");
        return [.. Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder, file))];
    }
}
