namespace OciRegistry;

/// <summary>What operators see and do beside the registry's own API.</summary>
public sealed class OperationsOptions
{
    /// <summary>
    /// Whether <c>/admin</c> is answered where nobody has to log in, without a port of its own (<c>Operations:Urls</c>): then anybody on
    /// the machine itself is an operator, and so is anybody behind a reverse proxy on it that does not say for whom it asks. Where
    /// people log in, policies decide instead.
    /// </summary>
    /// <value>false</value>
    public bool Admin { get; set; }

    /// <summary>
    /// Addresses, written as in <c>urls</c>, on which health, metrics and the admin API are answered, and not on those of the registry;
    /// <c>/v2/</c> is not answered there. Tokens are issued on both. Where nobody has to log in, <c>/admin</c> is answered there as with
    /// <c>Operations:Admin</c>: on the machine itself only. Only the server reads it: in an application restrict the groups that the
    /// <c>Map</c> methods return.
    /// </summary>
    /// <value>none: the addresses of the registry</value>
    public IList<string> Urls { get; set => field = value ?? []; } = [];
}
