using System.Net;
using System.Text;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Repositories;

/// <summary>R5.4: a push and a delete of the same manifest at the same time, on two replicas.</summary>
public sealed class PushMeetsDeleteTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const string Name = "t";

    // A request that meets another one repeats some of its calls.
    private const int More = 4;

    private static readonly Digest Subject = Digest.Of("subject"u8);

    private readonly string _repository = RegistryClient.NewRepository();
    private readonly byte[] _manifest = RegistryClient.ImageIndex([], Subject);
    private ReplicaPair _replicas = null!;

    private Digest Digest => Digest.Of(_manifest);

    private FaultyRegistry A => _replicas.A;

    private FaultyRegistry B => _replicas.B;

    private DocumentKey ManifestKey => RegistryLayout.Manifest(RepositoryName.Parse(_repository), Digest);

    private DocumentKey TagKey => RegistryLayout.Tag(RepositoryName.Parse(_repository), TagNamed(Name));

    private DocumentKey ReverseKey => RegistryLayout.Tagged(RepositoryName.Parse(_repository), Digest, TagNamed(Name));

    private DocumentKey ReferrerKey => RegistryLayout.Referrer(RepositoryName.Parse(_repository), Subject, Digest);

    public async ValueTask InitializeAsync() => _replicas = await ReplicaPair.StartAsync();

    public ValueTask DisposeAsync() => _replicas.DisposeAsync();

    /// <summary>As a process leaves it that has died within a push and a delete of the same manifest.</summary>
    [Fact]
    public async Task Entry_of_a_referrer_without_its_manifest_is_not_listed_and_goes()
    {
        await AddEntryAsync();

        (await ReferrersAsync()).ShouldBe(0);

        (await A.Documents.ReadAsync(ReferrerKey, default)).ShouldBeNull();
    }

    /// <summary>This replica does not know the upstream that another one has asked.</summary>
    [Theory]
    [InlineData("{}", true)] // of another release, or damaged: it may
    [InlineData("{", true)]
    [InlineData("this one", true)]
    [InlineData("no other", false)]
    public async Task Entry_of_a_referrer_is_not_listed_and_stays_where_an_upstream_may_list_it(string listed, bool stays)
    {
        await AddEntryAsync();
        var note = RegistryLayout.ReferredSubject(RepositoryName.Parse(_repository), Subject);
        var content = listed switch
        {
            "this one" => $$"""{"checked":"2026-01-01T00:00:00+00:00","referrers":["{{Digest}}"]}""",
            "no other" => """{"checked":"2026-01-01T00:00:00+00:00","referrers":[]}""",
            _ => listed,
        };
        await A.Documents.WriteAsync(note, Encoding.UTF8.GetBytes(content), WriteCondition.Absent, Durability.Synced, default);

        (await ReferrersAsync()).ShouldBe(0);

        (await A.Documents.ReadAsync(ReferrerKey, default) is not null).ShouldBe(stays);
    }

    [Fact]
    public async Task A_delete_that_is_cut_short_hides_no_referrer_that_can_be_pulled()
    {
        await PutAsync(A, _repository, _manifest);
        var deleting = B.Plan.Hold(StoreCall.DocumentDelete, ManifestKey.ToString());
        var delete = B.Http.DeleteAsync($"/v2/{_repository}/manifests/{Digest}");
        await deleting.Reached;

        (await ReferrersAsync()).ShouldBe(1); // its process may die here

        deleting.Release();
        (await Until.DoneAsync(delete)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await ReferrersAsync()).ShouldBe(0);
        (await A.Documents.ReadAsync(ReferrerKey, default)).ShouldBeNull();
    }

    [Fact]
    public async Task Entry_of_a_referrer_that_is_pushed_while_its_manifest_is_looked_for_stays()
    {
        await AddEntryAsync();
        var removing = A.Plan.Hold(StoreCall.DocumentDelete, ReferrerKey.ToString());
        var list = ReferrersAsync();
        await removing.Reached; // there was no manifest
        await PutAsync(B, _repository, _manifest);
        removing.Release();
        await Until.DoneAsync(list);

        (await ReferrersAsync()).ShouldBe(1);
    }

    private async Task AddEntryAsync()
    {
        await PutAsync(A, _repository, _manifest);
        var entry = (await A.Documents.ReadAsync(ReferrerKey, default)).ShouldNotBeNull();
        await DeleteAsync(A, _repository, _manifest);
        await A.Documents.WriteAsync(ReferrerKey, entry.Content, WriteCondition.Absent, Durability.Synced, default);
    }

    private async Task<int> ReferrersAsync()
    {
        using var list = await A.Http.RequestAsync("GET", $"/v2/{_repository}/referrers/{Subject}");
        return (await list.JsonAsync())["manifests"]!.AsArray().Count;
    }

    [Fact]
    public async Task Push_and_delete_of_one_manifest_at_once_leave_all_of_it_or_nothing()
    {
        var kept = 0;
        var rounds = Counts.Of(ci: 30, full: 1_000);
        for (var round = 0; round < rounds; round++)
        {
            var (repository, manifest) = (RegistryClient.NewRepository(), RegistryClient.ImageIndex([], Subject));
            await PutAsync(A, repository, manifest);
            var push = Task.Run(() => PutAsync(A, repository, manifest));
            var delete = Task.Run(() => DeleteAsync(B, repository, manifest));
            await Until.DoneAsync(Task.WhenAll(push, delete));
            if (await _replicas.AssertAgreesAsync(repository, Digest.Of(manifest), Name, Subject, $"round {round}"))
            {
                kept++;
                await AssertNothingComesBackAsync(repository, manifest, $"round {round}");
            }
        }

        output.WriteLine($"{kept} of {rounds} pushes came second");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Push_and_delete_stopped_at_any_store_call_leave_all_of_it_or_nothing(bool isThereBefore)
    {
        // Every pair of calls in the stress run; else those that the seed selects.
        var random = new Random(Seed.Next(output));
        var pushCalls = await CallsAsync(A, () => PutAsync(A, _repository, _manifest));
        var deleteCalls = await CallsAsync(B, () => DeleteAsync(B, _repository, _manifest));
        var pairs = 0;
        for (var push = 1; push <= pushCalls + More; push++)
        {
            for (var delete = 1; delete <= deleteCalls + More; delete++)
            {
                if (random.Next(Counts.Of(ci: 12, full: 1)) == 0)
                {
                    await MeetAsync(isThereBefore, push, delete, isPushFirst: true);
                    await MeetAsync(isThereBefore, push, delete, isPushFirst: false);
                    pairs++;
                }
            }
        }

        pairs.ShouldBeGreaterThan(5);
        output.WriteLine($"{pairs} pairs of {pushCalls} and {deleteCalls} calls");
    }

    [Fact]
    public async Task Push_that_a_delete_overtook_after_its_manifest_stores_everything_again()
    {
        var tagging = A.Plan.Hold(StoreCall.DocumentWrite, TagKey.ToString());
        var push = PutAsync(A, _repository, _manifest);
        await tagging.Reached;
        await DeleteAsync(B, _repository, _manifest);

        tagging.Release();

        await Until.DoneAsync(push);
        (await _replicas.AssertAgreesAsync(_repository, Digest, Name, Subject)).ShouldBeTrue();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Push_writes_an_entry_again_that_was_deleted_before_its_answer(bool isReferrer)
    {
        // A replica of the release before deletes such an entry without a condition.
        var entry = isReferrer ? ReferrerKey : ReverseKey;
        var tagging = A.Plan.Hold(StoreCall.DocumentWrite, TagKey.ToString());
        var push = PutAsync(A, _repository, _manifest);
        await tagging.Reached;
        (await B.Documents.DeleteAsync(entry, WriteCondition.None, Durability.Synced, default)).ShouldBeTrue();

        tagging.Release();

        await Until.DoneAsync(push);
        (await _replicas.AssertAgreesAsync(_repository, Digest, Name, Subject)).ShouldBeTrue();
        await AssertNothingComesBackAsync(_repository, _manifest, "deleted afterwards");
    }

    [Fact]
    public async Task Delete_of_a_manifest_that_arrives_late_takes_nothing_that_was_pushed_since()
    {
        await PutAsync(A, _repository, _manifest);
        var deleting = B.Plan.Hold(StoreCall.DocumentDelete, ManifestKey.ToString());
        var delete = B.Http.DeleteAsync($"/v2/{_repository}/manifests/{Digest}");
        await deleting.Reached;
        await PutAsync(A, _repository, _manifest);
        using var down = new Released(B.Plan.FailEverything()); // its replica has no store any more, but this call still lands

        deleting.Release();

        (await Until.DoneAsync(delete)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        down.Dispose();
        (await _replicas.AssertAgreesAsync(_repository, Digest, Name, Subject)).ShouldBeTrue();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Delete_of_a_tag_that_arrives_late_does_not_take_the_tag_that_was_pushed_since(bool isConditional)
    {
        await PutAsync(A, _repository, _manifest);
        var other = RegistryClient.ImageIndex([], Subject);
        var deleting = B.Plan.Hold(StoreCall.DocumentDelete, TagKey.ToString());
        var delete = B.Http.RequestAsync(
            "DELETE",
            $"/v2/{_repository}/manifests/{Name}",
            isConditional ? [("If-Match", $"\"{Digest}\"")] : []);
        await deleting.Reached;
        await PutAsync(A, _repository, other);
        using var down = new Released(isConditional ? null : B.Plan.FailEverything());

        deleting.Release();

        (await Until.DoneAsync(delete)).StatusCode.ShouldBe(
            isConditional ? HttpStatusCode.PreconditionFailed : HttpStatusCode.ServiceUnavailable);
        down.Dispose();
        (await _replicas.AssertAgreesAsync(_repository, Digest.Of(other), Name, Subject)).ShouldBeTrue();
    }

    [Fact]
    public async Task Delete_of_a_manifest_leaves_a_tag_that_moved_to_another_one_meanwhile()
    {
        await PutAsync(A, _repository, _manifest);
        var other = RegistryClient.ImageIndex([], Subject);
        var deleting = B.Plan.Hold(StoreCall.DocumentDelete, TagKey.ToString());
        var delete = DeleteAsync(B, _repository, _manifest);
        await deleting.Reached;
        await PutAsync(A, _repository, other);

        deleting.Release();

        await Until.DoneAsync(delete);
        (await _replicas.AssertAgreesAsync(_repository, Digest.Of(other), Name, Subject)).ShouldBeTrue();
    }

    [Fact]
    public async Task Delete_removes_the_tag_of_a_push_that_died_before_its_answer()
    {
        await PutAsync(A, _repository, _manifest);
        var tagging = A.Plan.Hold(StoreCall.DocumentWrite, TagKey.ToString());
        var push = A.Http.PutManifestAsync(_repository, Name, _manifest, MediaTypes.ImageIndex);
        await tagging.Reached;
        var deleting = B.Plan.Hold(StoreCall.DocumentDelete, ManifestKey.ToString());
        var delete = DeleteAsync(B, _repository, _manifest);
        await deleting.Reached;
        using var down = new Released(A.Plan.FailEverything());
        tagging.Release();
        (await Until.DoneAsync(push)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        down.Dispose();

        deleting.Release();

        await Until.DoneAsync(delete);
        (await _replicas.AssertAgreesAsync(_repository, Digest, Name, Subject)).ShouldBeFalse();
        await AssertNothingComesBackAsync(_repository, _manifest, "pushed again");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Push_that_fails_after_a_delete_overtook_it_leaves_no_tag_that_is_listed_and_404(bool isDead)
    {
        await PutAsync(A, _repository, RegistryClient.EmptyIndex());
        var tagging = A.Plan.Hold(StoreCall.DocumentWrite, TagKey.ToString());
        var push = A.Http.PutManifestAsync(_repository, Name, _manifest, MediaTypes.ImageIndex);
        await tagging.Reached;
        await DeleteAsync(B, _repository, _manifest);
        using (new Released(A.Plan.Fail(StoreCall.DocumentRead, on: "_catalog/", times: int.MaxValue)))
        using (new Released(isDead ? A.Plan.Fail(StoreCall.DocumentDelete, times: int.MaxValue) : null))
        {
            tagging.Release();
            (await Until.DoneAsync(push)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        }

        if (isDead)
        {
            // What is left of it goes with the first pull.
            (await B.Http.GetManifestAsync(_repository, Name)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        foreach (var replica in new[] { A, B })
        {
            using var tags = await replica.Http.RequestAsync("GET", $"/v2/{_repository}/tags/list");
            (await tags.JsonAsync()).Texts("tags").ShouldBeEmpty();
        }
    }

    [Fact]
    public async Task A_pull_that_finds_a_tag_without_its_manifest_leaves_the_tag_of_a_push_that_comes_meanwhile()
    {
        await PutAsync(A, _repository, _manifest);
        var manifest = (await A.Documents.ReadAsync(ManifestKey, default)).ShouldNotBeNull();
        (await A.Documents.DeleteAsync(ManifestKey, WriteCondition.Unchanged(manifest.Version), Durability.Synced, default)).ShouldBeTrue();
        var deleting = B.Plan.Hold(StoreCall.DocumentDelete, TagKey.ToString());
        var pull = B.Http.GetManifestAsync(_repository, Name);
        await deleting.Reached;
        await PutAsync(A, _repository, _manifest);

        deleting.Release();

        (await Until.DoneAsync(pull)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await _replicas.AssertAgreesAsync(_repository, Digest, Name, Subject)).ShouldBeTrue();
    }

    [Fact]
    public async Task A_pull_that_finds_a_tag_without_its_manifest_takes_all_of_it_away()
    {
        await PutAsync(A, _repository, _manifest);
        var manifest = (await A.Documents.ReadAsync(ManifestKey, default)).ShouldNotBeNull();
        (await A.Documents.DeleteAsync(ManifestKey, WriteCondition.Unchanged(manifest.Version), Durability.Synced, default)).ShouldBeTrue();

        (await B.Http.GetManifestAsync(_repository, Name)).StatusCode.ShouldBe(HttpStatusCode.NotFound);

        (await A.Documents.ReadAsync(TagKey, default)).ShouldBeNull();
        (await A.Documents.ReadAsync(ReverseKey, default)).ShouldBeNull();
        (await A.Http.GetStringAsync(new Uri("/v2/_catalog", UriKind.Relative))).ShouldNotContain(_repository);
    }

    [Fact]
    public async Task Delete_that_was_interrupted_after_the_manifest_is_finished_by_the_next_one()
    {
        await PutAsync(A, _repository, _manifest);
        var tagging = A.Plan.Hold(StoreCall.DocumentWrite, TagKey.ToString());
        var push = A.Http.PutManifestAsync(_repository, Name, _manifest, MediaTypes.ImageIndex);
        await tagging.Reached;
        var deleted = B.Plan.Hold(StoreCall.DocumentDelete, ManifestKey.ToString(), afterEffect: true);
        var delete = B.Http.DeleteAsync($"/v2/{_repository}/manifests/{Digest}");
        await deleted.Reached;
        using (new Released(A.Plan.FailEverything()))
        using (new Released(B.Plan.FailEverything()))
        {
            tagging.Release();
            deleted.Release();
            (await Until.DoneAsync(push)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
            (await Until.DoneAsync(delete)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        }

        (await B.Http.DeleteAsync($"/v2/{_repository}/manifests/{Digest}")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await ReferrersAsync()).ShouldBe(0); // removes the entry: that it was a referrer, only the manifest said

        (await _replicas.AssertAgreesAsync(_repository, Digest, Name, Subject)).ShouldBeFalse();
        await AssertNothingComesBackAsync(_repository, _manifest, "pushed again");
    }

    [Fact]
    public async Task Delete_removes_no_name_while_the_manifest_is_there_again()
    {
        await PutAsync(A, _repository, _manifest);
        var deleted = B.Plan.Hold(StoreCall.DocumentDelete, ManifestKey.ToString(), afterEffect: true);
        var delete = DeleteAsync(B, _repository, _manifest);
        await deleted.Reached;
        await PutAsync(A, _repository, _manifest);

        deleted.Release();

        await Until.DoneAsync(delete);
        (await _replicas.AssertAgreesAsync(_repository, Digest, Name, Subject)).ShouldBeTrue();
        await AssertNothingComesBackAsync(_repository, _manifest, "deleted afterwards");
    }

    [Fact]
    public async Task Delete_removes_only_the_reverse_entry_that_it_read_before_the_manifest_was_missing()
    {
        await PutAsync(A, _repository, _manifest);
        var looking = B.Plan.Hold(StoreCall.DocumentRead, ManifestKey.ToString(), nth: 4, afterEffect: true);
        var delete = DeleteAsync(B, _repository, _manifest);
        await looking.Reached;
        await PutAsync(A, _repository, _manifest);

        looking.Release();

        await Until.DoneAsync(delete);
        (await _replicas.AssertAgreesAsync(_repository, Digest, Name, Subject)).ShouldBeTrue();
        await AssertNothingComesBackAsync(_repository, _manifest, "deleted afterwards");
    }

    [Fact]
    public async Task Push_on_condition_that_a_delete_overtook_still_meets_its_condition()
    {
        var cataloguing = A.Plan.Hold(StoreCall.DocumentRead, RegistryLayout.CatalogEntry(RepositoryName.Parse(_repository)).ToString());
        var push = A.Http.PutManifestAsync(
            _repository, Name, _manifest, MediaTypes.ImageIndex, headers => headers.TryAddWithoutValidation("If-None-Match", "*"));
        await cataloguing.Reached;
        (await B.Documents.DeleteAsync(ManifestKey, WriteCondition.None, Durability.Synced, default)).ShouldBeTrue();

        cataloguing.Release();

        using var put = await Until.DoneAsync(push);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
        (await _replicas.AssertAgreesAsync(_repository, Digest, Name, Subject)).ShouldBeTrue();
    }

    [Fact]
    public async Task Repository_stays_in_the_catalog_when_a_push_meets_the_delete_of_its_last_manifest()
    {
        await PutAsync(A, _repository, _manifest);
        var other = RegistryClient.ImageIndex([], Subject);
        var removing = B.Plan.Hold(
            StoreCall.DocumentDelete, RegistryLayout.CatalogEntry(RepositoryName.Parse(_repository)).ToString());
        var delete = B.Http.DeleteAsync($"/v2/{_repository}/manifests/{Digest}");
        await removing.Reached;
        await PutAsync(A, _repository, other);
        using var down = new Released(B.Plan.FailEverything()); // it dies before it can look again

        removing.Release();

        await Until.DoneAsync(delete);
        down.Dispose();
        (await _replicas.AssertAgreesAsync(_repository, Digest.Of(other), Name, Subject)).ShouldBeTrue();
    }

    [Fact]
    public async Task Push_that_is_refused_at_its_second_tag_leaves_no_first_one()
    {
        await using var replicas = await CreateOnlyAsync();
        var tagging = replicas.A.Plan.Hold(StoreCall.DocumentWrite, TagKey.ToString());
        var first = replicas.A.Http.PutManifestAsync(
            _repository, $"{Digest}?tag=first&tag={Name}", _manifest, MediaTypes.ImageIndex);
        await tagging.Reached; // the first is set
        await PutAsync(replicas.B, _repository, RegistryClient.EmptyIndex());

        tagging.Release();

        using var refused = await Until.DoneAsync(first);
        await refused.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        using var pulled = await replicas.A.Http.GetManifestAsync(_repository, "first");
        pulled.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    private static Task<ReplicaPair> CreateOnlyAsync() =>
        ReplicaPair.StartAsync(settings => settings.Auth.Policies.Add(new PolicyOptions
        {
            Subjects = ["anonymous"],
            Repositories = ["test/**"],
            Actions = ["pull", "create-only"],
        }));

    [Fact]
    public async Task Of_two_first_pushes_of_a_tag_that_must_not_move_one_is_refused()
    {
        await using var replicas = await CreateOnlyAsync();
        var tagging = replicas.A.Plan.Hold(StoreCall.DocumentWrite, TagKey.ToString());
        var first = replicas.A.Http.PutManifestAsync(_repository, Name, _manifest, MediaTypes.ImageIndex);
        await tagging.Reached; // it has found no such tag, twice
        var other = RegistryClient.EmptyIndex();
        await PutAsync(replicas.B, _repository, other);

        tagging.Release();

        using var refused = await Until.DoneAsync(first);
        await refused.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        using var pulled = await replicas.A.Http.GetManifestAsync(_repository, Name);
        await pulled.ShouldBeContentAsync(Digest.Of(other), other);
    }

    /// <summary>Both requests run up to their call of that number; then one ends, then the other.</summary>
    private async Task MeetAsync(bool isThereBefore, int pushStop, int deleteStop, bool isPushFirst)
    {
        var what = $"push at call {pushStop}, delete at call {deleteStop}, {(isPushFirst ? "push" : "delete")} first";
        var (repository, manifest) = (RegistryClient.NewRepository(), RegistryClient.ImageIndex([], Subject));
        if (isThereBefore)
        {
            await PutAsync(A, repository, manifest);
        }

        var (pushHeld, deleteHeld) = (A.Plan.Hold(null, nth: pushStop), B.Plan.Hold(null, nth: deleteStop));
        var push = PutAsync(A, repository, manifest);
        await Until.DoneAsync(Task.WhenAny(push, pushHeld.Reached));
        var delete = DeleteAsync(B, repository, manifest);
        await Until.DoneAsync(Task.WhenAny(delete, deleteHeld.Reached));
        foreach (var (held, request) in isPushFirst
            ? new[] { (pushHeld, push), (deleteHeld, delete) }
            : new[] { (deleteHeld, delete), (pushHeld, push) })
        {
            held.Release();
            await Until.DoneAsync(request);
        }

        if (await _replicas.AssertAgreesAsync(repository, Digest.Of(manifest), Name, Subject, what))
        {
            await AssertNothingComesBackAsync(repository, manifest, what);
        }
    }

    /// <summary>After a delete, a push of the same manifest with another tag brings that tag and no other.</summary>
    private async Task AssertNothingComesBackAsync(string repository, byte[] manifest, string what)
    {
        await DeleteAsync(B, repository, manifest);
        (await _replicas.AssertAgreesAsync(repository, Digest.Of(manifest), Name, Subject, what)).ShouldBeFalse(what);
        await PutAsync(A, repository, manifest, "other");
        using var tags = await A.Http.RequestAsync("GET", $"/v2/{repository}/tags/list");
        (await tags.JsonAsync()).Texts("tags").ShouldBe(["other"], what);
    }

    private static Tag TagNamed(string text) => Tag.TryParse(text, out var tag) ? tag : throw new FormatException(text);

    private static async Task<int> CallsAsync(FaultyRegistry registry, Func<Task> request)
    {
        var before = registry.Plan.Journal.Count;
        await request();
        return registry.Plan.Journal.Count - before;
    }

    private static async Task PutAsync(FaultyRegistry registry, string repository, byte[] manifest, string tag = Name)
    {
        using var put = await registry.Http.PutManifestAsync(repository, tag, manifest, MediaTypes.ImageIndex);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    private static async Task DeleteAsync(FaultyRegistry registry, string repository, byte[] manifest)
    {
        using var deleted = await registry.Http.DeleteAsync($"/v2/{repository}/manifests/{Digest.Of(manifest)}");
        deleted.StatusCode.ShouldBeOneOf(HttpStatusCode.Accepted, HttpStatusCode.NotFound);
    }

    /// <summary>A fault that ends with its scope.</summary>
    private sealed class Released(Fault? fault) : IDisposable
    {
        public void Dispose() => fault?.Release();
    }
}
