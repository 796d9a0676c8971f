using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.TokenClient;

namespace OciRegistry.Tests.Auth;

/// <summary>The keys that all replicas sign and verify with: made, used, retired, forgotten.</summary>
public sealed class SigningKeysTests : IDisposable
{
    private static readonly TimeSpan UploadLife = SigningKeys.UploadGrace + TokenOptions.MaxLifetime;

    private readonly ManualTimeProvider _time = new();
    private readonly FileSystemStorage _storage = new(); // by the system's clock: replicas wait for each other
    private readonly FaultPlan _plan = new();
    private readonly LogCapture _log = new();
    private readonly OciRegistryOptions _options = new();
    private readonly List<SigningKeys> _replicas = [];

    private int Reads => _plan.Journal.Count(entry => entry.Call == StoreCall.DocumentRead);

    public void Dispose()
    {
        _replicas.ForEach(replica => replica.Dispose());
        _storage.Dispose();
    }

    // --- in the storage -------------------------------------------------------------------------------------------

    [Fact]
    public async Task Replicas_sign_with_the_same_key_and_verify_what_each_has_signed()
    {
        var (first, second) = (Replica(), Replica());

        var key = await CurrentAsync(first);

        (await CurrentAsync(second)).Id.ShouldBe(key.Id);
        var token = await Tokens(first).IssueAsync(Alice, [], TimeSpan.FromMinutes(5), CancellationToken.None);
        (await VerifyAsync(second, token)).ShouldBe("user:alice");
    }

    [Fact]
    public async Task Eight_replicas_that_start_at_once_make_one_key()
    {
        for (var round = 0; round < Counts.Of(5, 200); round++)
        {
            using var storage = new FileSystemStorage();
            var replicas = Enumerable.Range(0, 8).Select(_ => Replica(storage.Documents())).ToArray();

            var keys = await Task.WhenAll(replicas.Select(replica => Task.Run(() => CurrentAsync(replica))));

            keys.Select(key => key.Id).Distinct().ShouldHaveSingleItem();
            (await storage.Documents().ReadAsync(RegistryLayout.SigningKeys, CancellationToken.None)).ShouldNotBeNull();
            (await AllAsync(Replica(storage.Documents()))).ShouldBe([keys[0].Id]);
        }
    }

    [Fact]
    public async Task Eight_replicas_that_rotate_at_once_make_one_key()
    {
        var replicas = Enumerable.Range(0, 8).Select(_ => Replica()).ToArray();
        var old = await CurrentAsync(replicas[0]);
        _time.Advance(_options.Auth.Tokens.RotateEvery + TimeSpan.FromSeconds(1));

        var keys = await Task.WhenAll(replicas.Select(replica => Task.Run(() => CurrentAsync(replica))));

        keys.ShouldAllBe(key => key.Id == old.Id);
        (await AllAsync(Replica())).Length.ShouldBe(2);
    }

    [Fact]
    public async Task A_key_signs_when_every_replica_has_had_the_time_to_read_it()
    {
        var (first, second) = (Replica(), Replica());
        var old = await CurrentAsync(first);
        (await CurrentAsync(second)).Id.ShouldBe(old.Id);

        _time.Advance(_options.Auth.Tokens.RotateEvery);
        (await CurrentAsync(first)).Id.ShouldBe(old.Id);
        (await AllAsync(first)).ShouldBe([old.Id]);
        _time.Advance(TimeSpan.FromSeconds(1));
        (await CurrentAsync(first)).Id.ShouldBe(old.Id);
        var made = (await AllAsync(first))[1];

        _time.Advance(SigningKeys.Notice - TimeSpan.FromSeconds(1));
        (await CurrentAsync(first)).Id.ShouldBe(old.Id);
        (await AllAsync(second)).ShouldBe([old.Id, made]);
        _time.Advance(TimeSpan.FromSeconds(1));
        (await CurrentAsync(first)).Id.ShouldBe(made);
        (await CurrentAsync(second)).Id.ShouldBe(made);
        (await AllAsync(first)).ShouldBe([old.Id, made]);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(400)]
    public async Task A_replica_with_a_clock_that_is_days_ahead_replaces_and_removes_no_key(int days)
    {
        var first = Replica();
        var old = await CurrentAsync(first);
        _time.Advance(_options.Auth.Tokens.RotateEvery + TimeSpan.FromSeconds(1));
        await CurrentAsync(first);
        _time.Advance(SigningKeys.Notice + TimeSpan.FromSeconds(1));
        var key = await CurrentAsync(first);
        var wrong = new ManualTimeProvider();
        wrong.TurnBack(wrong.GetUtcNow() - _time.GetUtcNow() - TimeSpan.FromDays(days));
        var clock = StoreTimeOf.Clock(wrong, new StoreTimeOf(_time));

        // Even before its first measurement, when it believes its own clock.
        (await CurrentAsync(Replica(clock: clock))).Id.ShouldBe(key.Id);
        (await AllAsync(Replica(clock: clock))).ShouldBe([old.Id, key.Id]);
        (await AllAsync(Replica())).ShouldBe([old.Id, key.Id]);
    }

    [Fact]
    public async Task Keys_are_read_again_after_the_clock_was_set_back()
    {
        var (first, second) = (Replica(), Replica());
        await CurrentAsync(first);
        await CurrentAsync(second);
        _time.TurnBack(TimeSpan.FromDays(3));
        _time.Advance(TimeSpan.FromDays(3) + _options.Auth.Tokens.RotateEvery + TimeSpan.FromSeconds(1));
        await CurrentAsync(first);
        _time.TurnBack(TimeSpan.FromDays(3));
        _time.Advance(SigningKeys.Freshness);

        (await AllAsync(second)).Length.ShouldBe(2);
    }

    [Theory]
    [InlineData(30)] // the life of refresh tokens
    [InlineData(1)]  // shorter than an upload may take
    public async Task A_retired_key_verifies_until_its_last_token_is_dead_and_is_then_forgotten(int refreshHours)
    {
        _options.Auth.Tokens.RefreshLifetime = TimeSpan.FromHours(refreshHours);
        _options.Auth.Tokens.RotateEvery = TimeSpan.FromDays(7);
        var replica = Replica();
        var old = await CurrentAsync(replica);
        _time.Advance(_options.Auth.Tokens.RotateEvery + TimeSpan.FromSeconds(1));
        await CurrentAsync(replica);
        _time.Advance(SigningKeys.Notice - TimeSpan.FromSeconds(1));
        (await CurrentAsync(replica)).Id.ShouldBe(old.Id);
        var refresh = await Tokens(replica).IssueRefreshAsync(Alice, CancellationToken.None);
        var access = await Tokens(replica).IssueAsync(Alice, [], TokenOptions.MaxLifetime, CancellationToken.None);

        _time.Advance(_options.Auth.Tokens.RefreshLifetime - TimeSpan.FromSeconds(1));
        (await VerifyRefreshAsync(replica, refresh)).ShouldBe("user:alice");
        _time.Advance(TimeSpan.FromSeconds(1));
        (await VerifyRefreshAsync(replica, refresh)).ShouldBeNull();
        if (_options.Auth.Tokens.RefreshLifetime < UploadLife)
        {
            _time.Advance(UploadLife - _options.Auth.Tokens.RefreshLifetime - TimeSpan.FromSeconds(1));
            (await VerifyAsync(replica, access)).ShouldBe("user:alice", "the token of an upload");
            _time.Advance(TimeSpan.FromSeconds(1));
            (await VerifyAsync(replica, access)).ShouldBeNull();
        }

        (await AllAsync(replica)).ShouldContain(old.Id);
        _time.Advance(TimeSpan.FromSeconds(2));
        (await AllAsync(replica)).ShouldNotContain(old.Id);
        (await replica.FindAsync(old.Id, CancellationToken.None)).ShouldBeNull();
    }

    [Fact]
    public async Task A_retired_key_is_gone_from_the_storage_with_the_next_that_is_made()
    {
        _options.Auth.Tokens.RefreshLifetime = TimeSpan.FromHours(1);
        _options.Auth.Tokens.RotateEvery = TimeSpan.FromDays(7);
        var replica = Replica();
        var ids = new List<string>();
        for (var i = 0; i < 4; i++)
        {
            ids.Add((await CurrentAsync(replica)).Id);
            _time.Advance(_options.Auth.Tokens.RotateEvery + TimeSpan.FromSeconds(1));
            await CurrentAsync(replica);
            _time.Advance(SigningKeys.Notice);
        }

        ids.Distinct().Count().ShouldBe(4);
        var document = await _storage.Documents().ReadAsync(RegistryLayout.SigningKeys, CancellationToken.None);
        var text = Encoding.UTF8.GetString(document!.Content.Span);
        text.ShouldNotContain(ids[0]);
        text.ShouldNotContain(ids[1]);
        text.ShouldContain(ids[3]);
    }

    [Fact]
    public async Task A_registry_that_nobody_has_used_for_long_has_a_key_at_once()
    {
        var replica = Replica();
        var old = await CurrentAsync(replica);

        _time.Advance(TimeSpan.FromDays(365));

        (await CurrentAsync(replica)).Id.ShouldBe(old.Id);
        _time.Advance(SigningKeys.Notice);
        (await CurrentAsync(replica)).Id.ShouldNotBe(old.Id);
    }

    [Fact]
    public async Task An_unknown_key_is_looked_for_once_a_second()
    {
        var replica = Replica();
        await CurrentAsync(replica);
        var before = Reads;

        for (var second = 1; second <= 3; second++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            for (var i = 0; i < 20; i++)
            {
                (await replica.FindAsync($"made up {i}", CancellationToken.None)).ShouldBeNull();
            }

            (Reads - before).ShouldBe(second);
        }
    }

    [Fact]
    public async Task A_key_that_another_replica_has_just_made_is_found()
    {
        var (first, second) = (Replica(), Replica());
        await CurrentAsync(first);
        await CurrentAsync(second);
        _time.Advance(_options.Auth.Tokens.RotateEvery + TimeSpan.FromSeconds(1));
        await AllAsync(second);
        await CurrentAsync(first);
        var made = (await AllAsync(first))[1];

        _time.Advance(TimeSpan.FromSeconds(1));

        (await second.FindAsync(made, CancellationToken.None)).ShouldNotBeNull();
    }

    [Fact]
    public async Task Known_keys_are_read_once_a_minute()
    {
        var replica = Replica();
        var key = await CurrentAsync(replica);
        var before = Reads;
        for (var minute = 1; minute <= 3; minute++)
        {
            _time.Advance(SigningKeys.Freshness);
            await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => replica.FindAsync(key.Id, CancellationToken.None).AsTask())));
            (Reads - before).ShouldBe(minute);
        }
    }

    [Fact]
    public async Task A_storage_that_fails_takes_no_key_away_and_is_asked_once_a_second()
    {
        var replica = Replica();
        var key = await CurrentAsync(replica);
        var fault = _plan.FailEverything();
        _time.Advance(SigningKeys.Freshness);
        var before = Reads;

        for (var i = 0; i < 10; i++)
        {
            (await CurrentAsync(replica)).Id.ShouldBe(key.Id);
            (await replica.FindAsync(key.Id, CancellationToken.None)).ShouldNotBeNull();
        }

        (Reads - before).ShouldBe(1);
        _log.Lines.ShouldHaveSingleItem().ShouldContain("The signing keys cannot be read again");
        fault.Release();
        _time.Advance(TimeSpan.FromSeconds(1));
        (await CurrentAsync(replica)).Id.ShouldBe(key.Id);
        (Reads - before).ShouldBe(2);
        _log.Lines.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Unknown_keys_do_not_make_us_ask_a_storage_that_fails_with_each_token()
    {
        var replica = Replica();
        await CurrentAsync(replica);
        _plan.FailEverything();
        _time.Advance(TimeSpan.FromSeconds(1));
        var before = Reads;

        for (var i = 0; i < 10; i++)
        {
            (await replica.FindAsync($"made up {i}", CancellationToken.None)).ShouldBeNull();
        }

        (Reads - before).ShouldBe(1);
    }

    [Fact]
    public async Task A_storage_that_is_full_is_no_reason_to_sign_nothing()
    {
        var replica = Replica();
        var old = await CurrentAsync(replica);
        _time.Advance(_options.Auth.Tokens.RotateEvery + TimeSpan.FromSeconds(1));
        var fault = _plan.Fail(StoreCall.DocumentWrite, FaultPlan.Full, times: int.MaxValue);

        for (var i = 0; i < 10; i++)
        {
            (await CurrentAsync(replica)).Id.ShouldBe(old.Id);
        }

        _plan.Journal.Count(entry => entry.Call == StoreCall.DocumentWrite).ShouldBe(2, "the first key, and one try");
        _log.Lines.ShouldHaveSingleItem().ShouldContain("A new signing key cannot be written");
        fault.Release();
        _time.Advance(TimeSpan.FromSeconds(1));
        await CurrentAsync(replica);
        (await AllAsync(replica)).Length.ShouldBe(2);
    }

    [Fact]
    public async Task A_storage_that_has_never_answered_is_said_to_be_down()
    {
        var replica = Replica();
        var fault = _plan.FailEverything();
        await Should.ThrowAsync<StorageException>(() => CurrentAsync(replica));
        await Should.ThrowAsync<StorageException>(() => AllAsync(replica));

        fault.Release();

        await CurrentAsync(replica);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("""{"keys":null}""")]
    [InlineData("""{"keys":[null]}""")]
    [InlineData("""{"keys":[{"id":"x","signsFrom":"2020-01-01T00:00:00Z","pkcs8":"AAAA"}]}""")]
    [InlineData("""{"keys":[{"id":"x","signsFrom":"2020-01-01T00:00:00Z","pkcs8":null}]}""")]
    public async Task A_damaged_document_is_said_to_be_damaged_and_what_to_do(string content)
    {
        var known = Replica();
        var key = await CurrentAsync(known);
        await _storage.Documents().WriteAsync(
            RegistryLayout.SigningKeys, Encoding.UTF8.GetBytes(content), WriteCondition.None, Durability.Synced, CancellationToken.None);
        _time.Advance(SigningKeys.Freshness);

        (await CurrentAsync(known)).Id.ShouldBe(key.Id);
        var thrown = await Should.ThrowAsync<StorageException>(() => CurrentAsync(Replica()));
        thrown.Message.ShouldBe("The document with the signing keys is damaged. Delete it, and new ones are made.");
        await _storage.Documents().DeleteAsync(
            RegistryLayout.SigningKeys, WriteCondition.None, Durability.Synced, CancellationToken.None);
        await CurrentAsync(Replica());
    }

    // --- in a file ------------------------------------------------------------------------------------------------

    [Fact]
    public async Task The_first_key_of_a_file_signs_and_all_verify_and_it_can_change_while_they_do()
    {
        using var folder = new AuthFolder();
        var (first, second, third) = (AuthFolder.NewKey(), AuthFolder.NewKey(), AuthFolder.NewKey());
        folder.SetKeys(first, second);
        var time = new ManualTimeProvider();
        await using var registry = await TokenRegistry.StartAsync(folder, time: time);
        var token = await registry.Http.TokenAsync("alice", AuthFolder.AlicesPassword);
        KeyOf(token).ShouldBe(IdOf(first));
        (await StatusAsync(Forge(second).Token())).ShouldBe(HttpStatusCode.OK);
        (await StatusAsync(Forge(third).Token())).ShouldBe(HttpStatusCode.Unauthorized);

        folder.SetKeys(third, first);
        await Until.TrueAsync(
            async () =>
            {
                time.Advance(AuthFilesService.Interval);
                return KeyOf(await registry.Http.TokenAsync("alice", AuthFolder.AlicesPassword)) == IdOf(third);
            },
            "the new key signs");
        (await StatusAsync(token)).ShouldBe(HttpStatusCode.OK);
        (await StatusAsync(Forge(second).Token())).ShouldBe(HttpStatusCode.Unauthorized);

        File.WriteAllText(folder.SigningKeys, "nonsense");
        await Until.TrueAsync(
            () =>
            {
                time.Advance(AuthFilesService.Interval);
                return registry.Log.Lines.Any(line => line.StartsWith("Error"));
            },
            "it is said that the file cannot be used");
        KeyOf(await registry.Http.TokenAsync("alice", AuthFolder.AlicesPassword)).ShouldBe(IdOf(third));

        TokenForge Forge(ECDsa key) => new(key, "user:alice", folder.CredentialOf("alice"), time.GetUtcNow());

        async Task<HttpStatusCode> StatusAsync(string bearer)
        {
            using var answer = await registry.Http.RequestAsync("GET", "/v2/", Bearer(bearer));
            return answer.StatusCode;
        }

        static string KeyOf(string token) => (string)HeaderOf(token)["kid"]!;
    }

    private static Dictionary<string, Func<string>> BadFiles { get; } = new()
    {
        ["nothing"] = () => "",
        ["no PEM"] = () => "nonsense",
        ["no base64"] = () => "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ["half a key"] = () => AuthFolder.NewKey().ExportPkcs8PrivateKeyPem()[..60],
        ["RSA"] = () => RSA.Create(2048).ExportPkcs8PrivateKeyPem(),
        ["RSA's own form"] = () => RSA.Create(2048).ExportRSAPrivateKeyPem(),
        ["P-384"] = () => ECDsa.Create(ECCurve.NamedCurves.nistP384).ExportPkcs8PrivateKeyPem(),
        ["P-521"] = () => ECDsa.Create(ECCurve.NamedCurves.nistP521).ExportECPrivateKeyPem(),
        ["another curve of 256 bits"] = () => ECDsa.Create(ECCurve.CreateFromValue("1.3.132.0.10")).ExportPkcs8PrivateKeyPem(),
        ["P-256 without its name"] = () =>
        {
            var key = ECDsa.Create();
            key.ImportParameters(AuthFolder.NewKey().ExportExplicitParameters(includePrivateParameters: true));
            return key.ExportPkcs8PrivateKeyPem();
        },
        ["a public key"] = () => AuthFolder.NewKey().ExportSubjectPublicKeyInfoPem(),
        ["an encrypted key"] = () => AuthFolder.NewKey().ExportEncryptedPkcs8PrivateKeyPem(
            "x", new PbeParameters(PbeEncryptionAlgorithm.Aes128Cbc, HashAlgorithmName.SHA256, 10)),
        ["a good key and a bad one"] = () => AuthFolder.NewKey().ExportPkcs8PrivateKeyPem() + "\n" + RSA.Create(2048).ExportPkcs8PrivateKeyPem(),
    };

    public static TheoryData<string> BadFileRows => [.. BadFiles.Keys];

    [Theory]
    [MemberData(nameof(BadFileRows))]
    public void A_file_with_another_key_is_refused_with_a_sentence(string row)
    {
        using var folder = new AuthFolder();
        File.WriteAllText(folder.SigningKeys, BadFiles[row]());
        var options = new AuthOptions();
        options.Tokens.SigningKeys = folder.SigningKeys;

        AuthFiles.Problems(options).ShouldBe(
        [
            $"'{folder.SigningKeys}': It has no private EC key on P-256 that can be read. Make one with: "
            + "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        ]);
    }

    [Fact]
    public void Both_forms_of_a_key_are_read_whatever_stands_around_them()
    {
        var (first, second) = (AuthFolder.NewKey(), AuthFolder.NewKey());
        var keys = SigningKey.FromPem("keys", Encoding.ASCII.GetBytes(
            $"the first\n{first.ExportECPrivateKeyPem()}\r\nits certificate\n{first.ExportSubjectPublicKeyInfoPem()}\n{second.ExportPkcs8PrivateKeyPem()}"));

        keys.Select(key => key.Id).ShouldBe([IdOf(first), IdOf(second)]);
    }

    private static Caller Alice { get; } = new("user:alice");

    private static string IdOf(ECDsa key) => new TokenForge(key, "", "", DateTimeOffset.UnixEpoch).KeyId;

    private static async Task<SigningKey> CurrentAsync(SigningKeys keys) => await keys.CurrentAsync(CancellationToken.None);

    private static async Task<string[]> AllAsync(SigningKeys keys) =>
        [.. (await keys.AllAsync(CancellationToken.None)).Select(key => key.Id)];

    private SigningKeys Replica(IDocumentStore? documents = null, StoreClock? clock = null)
    {
        var options = Options.Create(_options);
        var replica = new SigningKeys(
            new FaultyDocumentStore(documents ?? _storage.Documents(), _plan),
            new AuthFiles(options),
            options,
            clock ?? StoreTimeOf.Clock(_time),
            _time,
            LoggerFactory.Create(logging => logging.AddProvider(_log)).CreateLogger<SigningKeys>());
        _replicas.Add(replica);
        return replica;
    }

    private RegistryTokens Tokens(SigningKeys keys) => new(keys, Options.Create(_options), _time);

    private async Task<string?> VerifyAsync(SigningKeys keys, string token)
    {
        Jwt.TryParse(token, out var jwt).ShouldBeTrue();
        return (await Tokens(keys).VerifyAsync(jwt!, CancellationToken.None)).Caller?.Subject;
    }

    private async Task<string?> VerifyRefreshAsync(SigningKeys keys, string token)
    {
        Jwt.TryParse(token, out var jwt).ShouldBeTrue();
        return (await Tokens(keys).VerifyRefreshAsync(jwt!, CancellationToken.None)).Caller?.Subject;
    }
}
